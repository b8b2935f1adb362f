-- Uploaded references: whose they are, and on whose word. The recordings are files under their digests.

CREATE TABLE voices (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    owner       TEXT    NOT NULL,
    name        TEXT    NOT NULL CHECK (name <> ''),
    -- SHA-256 of the recording; several rows may share one file.
    digest      TEXT    NOT NULL CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
    seconds     REAL    NOT NULL CHECK (seconds > 0),
    bytes       INTEGER NOT NULL CHECK (bytes > 0),
    -- No voice without its speaker's consent.
    consent     TEXT    NOT NULL CHECK (trim(consent) <> ''),
    -- Seconds since the epoch.
    created_at  REAL    NOT NULL,
    media_type  TEXT    NOT NULL,
    ref_text    TEXT,
    description TEXT,
    -- A JSON array of BCP-47 tags.
    languages   TEXT    NOT NULL CHECK (json_valid(languages)),

    CONSTRAINT one_of_a_name UNIQUE (owner, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX voices_of_digest ON voices (digest);
