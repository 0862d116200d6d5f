-- Schema 2. Players and their ratings. The release before goes on: it writes results without
-- them, and those stay unrated.
CREATE TABLE players (
    player        TEXT COLLATE "C" PRIMARY KEY,
    -- As it was shown last.
    name          TEXT   NOT NULL,
    first_seen_ms BIGINT NOT NULL,
    last_seen_ms  BIGINT NOT NULL
);

CREATE TABLE ratings (
    player           TEXT COLLATE "C" NOT NULL REFERENCES players (player) ON DELETE CASCADE,
    mode             TEXT COLLATE "C" NOT NULL,
    mean             DOUBLE PRECISION NOT NULL,
    deviation        DOUBLE PRECISION NOT NULL,
    -- What a leaderboard sorts by: it follows from the two.
    score            BIGINT           NOT NULL,
    games            BIGINT           NOT NULL,
    wins             BIGINT           NOT NULL,
    version          BIGINT           NOT NULL,
    last_match       TEXT COLLATE "C" NOT NULL,
    mean_before      DOUBLE PRECISION NOT NULL,
    deviation_before DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (player, mode)
);

CREATE INDEX ratings_by_score ON ratings (mode, score DESC, player);

-- Who was forgotten of late, so that a result that comes late does not bring the player back.
CREATE TABLE forgotten (
    player          TEXT COLLATE "C" PRIMARY KEY,
    forgotten_at_ms BIGINT NOT NULL
);

-- What the match changed; nothing if it was not rated.
ALTER TABLE standings
    ADD COLUMN team             BIGINT,
    ADD COLUMN mean_before      DOUBLE PRECISION,
    ADD COLUMN deviation_before DOUBLE PRECISION,
    ADD COLUMN mean_after       DOUBLE PRECISION,
    ADD COLUMN deviation_after  DOUBLE PRECISION;
