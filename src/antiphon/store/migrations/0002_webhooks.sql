-- Whom to tell of a job's end. A row is made in the transaction that keeps its job, and goes when it was delivered or
-- given up, so that an end is told at least once whatever happens in between.

CREATE TABLE webhooks (
    -- The same for every try: the receiver knows by it what it has seen before.
    id      TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    job     TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    url     TEXT    NOT NULL CHECK (url <> ''),
    -- NULL: the server's own.
    secret  TEXT,
    tries   INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- Seconds since the epoch; NULL before the first try.
    next_at REAL,
    error   TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX webhooks_of_job ON webhooks (job);
