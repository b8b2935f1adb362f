-- Jobs, the events about them, idempotency keys and small documents.
-- The CHECKs are the state machine's last wall: a state that means nothing cannot be stored.

CREATE TABLE jobs (
    -- Order of acceptance; ids sort by the clock, which may jump.
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    type         TEXT    NOT NULL CHECK (type IN ('speech', 'transcription', 'image')),
    state        TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    owner        TEXT    NOT NULL,
    priority     TEXT    NOT NULL CHECK (priority IN ('vip', 'normal', 'bulk')),
    -- How often the job was started, as people see it; a drain gives one back.
    attempt      INTEGER NOT NULL CHECK (attempt >= 0),
    -- How often it was ever started. Only grows, so that no number is ever held by two runs of one job.
    fence        INTEGER NOT NULL,
    created_at   REAL    NOT NULL,
    started_at   REAL,
    finished_at  REAL,
    units_total  INTEGER NOT NULL,
    units_done   INTEGER NOT NULL,
    units_cached INTEGER NOT NULL,
    error        TEXT    CHECK (json_valid(error)),
    -- The two that may be long come last: a query that does not name them never reads their pages.
    result       TEXT    CHECK (json_valid(result)),
    request      TEXT    NOT NULL CHECK (json_valid(request)),

    CONSTRAINT fence_never_behind_attempt CHECK (fence >= attempt),
    CONSTRAINT units_in_range    CHECK (0 <= units_cached AND units_cached <= units_done AND units_done <= units_total),
    CONSTRAINT running_has_begun CHECK (state <> 'running' OR (started_at IS NOT NULL AND attempt > 0)),
    CONSTRAINT final_is_finished CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT success_has_result CHECK ((state = 'succeeded') = (result IS NOT NULL)),
    CONSTRAINT failure_has_error  CHECK ((state = 'failed') = (error IS NOT NULL))
) STRICT;

CREATE INDEX jobs_of_owner ON jobs (owner, id);
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE idempotency (
    owner       TEXT NOT NULL,
    key         TEXT NOT NULL,
    body_digest TEXT NOT NULL,
    job         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    created_at  REAL NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_of_job ON idempotency (job);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE events (
    -- Given by the bus; grows with every event, also over restarts.
    id    INTEGER PRIMARY KEY,
    type  TEXT NOT NULL CHECK (type <> ''),
    at    REAL NOT NULL,
    job   TEXT,
    owner TEXT,
    data  TEXT NOT NULL CHECK (json_valid(data))
) STRICT;

CREATE INDEX events_of_job ON events (job, id) WHERE job IS NOT NULL;

CREATE TABLE documents (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL CHECK (json_valid(value))
) STRICT, WITHOUT ROWID;
