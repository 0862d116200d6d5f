-- Schema 1. Ids are kept as their text, so that a person at the sqlite3 shell can read them.
CREATE TABLE matches (
    match_id       TEXT    PRIMARY KEY,
    room           TEXT    NOT NULL,
    mode           TEXT    NOT NULL,
    finished_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE standings (
    match_id       TEXT    NOT NULL REFERENCES matches (match_id),
    position       INTEGER NOT NULL,
    player         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    bot            INTEGER NOT NULL CHECK (bot IN (0, 1)),
    place          INTEGER NOT NULL,
    ticks          INTEGER,
    -- Again, so that one index answers "the last matches of a player".
    finished_at_ms INTEGER NOT NULL,
    PRIMARY KEY (match_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX standings_of_player ON standings (player, finished_at_ms DESC);
