-- Schema 3. Players and their ratings. The release before goes on: it writes results without
-- them, and those stay unrated.
CREATE TABLE players (
    player        TEXT    PRIMARY KEY,
    -- As it was shown last.
    name          TEXT    NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ratings (
    player           TEXT    NOT NULL REFERENCES players (player) ON DELETE CASCADE,
    mode             TEXT    NOT NULL,
    mean             REAL    NOT NULL,
    deviation        REAL    NOT NULL,
    -- What a leaderboard sorts by: it follows from the two.
    score            INTEGER NOT NULL,
    games            INTEGER NOT NULL,
    wins             INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    last_match       TEXT    NOT NULL,
    mean_before      REAL    NOT NULL,
    deviation_before REAL    NOT NULL,
    PRIMARY KEY (player, mode)
) STRICT, WITHOUT ROWID;

CREATE INDEX ratings_by_score ON ratings (mode, score DESC, player);

-- Who was forgotten of late, so that a result that comes late does not bring the player back.
CREATE TABLE forgotten (
    player          TEXT    PRIMARY KEY,
    forgotten_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the match changed; nothing if it was not rated.
ALTER TABLE standings ADD COLUMN team INTEGER;
ALTER TABLE standings ADD COLUMN mean_before REAL;
ALTER TABLE standings ADD COLUMN deviation_before REAL;
ALTER TABLE standings ADD COLUMN mean_after REAL;
ALTER TABLE standings ADD COLUMN deviation_after REAL;
