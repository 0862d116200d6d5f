-- Schema 2. Seats of events: a number is sold once, and a player has one. That is what keeps an
-- event from being oversold, whatever else fails.
CREATE TABLE seats (
    event        TEXT    NOT NULL,
    seat         INTEGER NOT NULL CHECK (seat > 0),
    player       TEXT    NOT NULL,
    booked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (event, seat),
    UNIQUE (event, player)
) STRICT, WITHOUT ROWID;
