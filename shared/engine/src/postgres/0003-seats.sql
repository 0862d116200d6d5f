-- Seats of events: a number is sold once, and a player has one. That is what keeps an event from
-- being oversold, whatever else fails. A person may delete a row: the seat is free again after the
-- event's store was rebuilt.
CREATE TABLE seats (
    event        TEXT COLLATE "C" NOT NULL,
    seat         BIGINT           NOT NULL CHECK (seat > 0),
    player       TEXT COLLATE "C" NOT NULL,
    booked_at_ms BIGINT           NOT NULL,
    PRIMARY KEY (event, seat),
    UNIQUE (event, player)
);
