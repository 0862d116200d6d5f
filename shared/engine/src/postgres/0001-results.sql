-- Schema 1. Ids are kept as their text, so that a person at psql can read them; as bytes, so that
-- they sort as they do everywhere else.
CREATE TABLE matches (
    match_id       TEXT COLLATE "C" PRIMARY KEY,
    room           TEXT COLLATE "C" NOT NULL,
    mode           TEXT             NOT NULL,
    finished_at_ms BIGINT           NOT NULL
);

CREATE TABLE standings (
    match_id       TEXT COLLATE "C" NOT NULL REFERENCES matches (match_id),
    position       BIGINT           NOT NULL,
    player         TEXT COLLATE "C" NOT NULL,
    name           TEXT             NOT NULL,
    bot            BOOLEAN          NOT NULL,
    place          BIGINT           NOT NULL,
    ticks          BIGINT,
    -- Again, so that one index answers "the last matches of a player".
    finished_at_ms BIGINT           NOT NULL,
    PRIMARY KEY (match_id, position)
);

CREATE INDEX standings_of_player ON standings (player, finished_at_ms DESC, match_id);
