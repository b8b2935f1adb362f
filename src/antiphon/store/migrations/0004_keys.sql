-- API keys, by digest only, and how much audio each has had.

CREATE TABLE keys (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    -- SHA-256 of the key.
    digest     TEXT    NOT NULL UNIQUE CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
    priority   TEXT    NOT NULL CHECK (priority IN ('vip', 'normal', 'bulk')),
    admin      INTEGER NOT NULL CHECK (admin IN (0, 1)),
    -- Seconds of audio per day; NULL: no bound.
    quota      REAL    CHECK (quota > 0),
    created_at REAL    NOT NULL,
    revoked_at REAL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_living_key_of_a_name ON keys (name) WHERE revoked_at IS NULL;

CREATE TABLE usage (
    key     TEXT NOT NULL,
    -- YYYY-MM-DD, UTC.
    day     TEXT NOT NULL,
    seconds REAL NOT NULL CHECK (seconds >= 0),

    PRIMARY KEY (key, day)
) STRICT, WITHOUT ROWID;
