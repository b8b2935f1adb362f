-- The schema names no kinds of jobs any more, and a column says whether a job's request was kept.
-- SQLite cannot drop a CHECK: the table is built again. Foreign keys are not enforced while this runs, because dropping
-- a table would otherwise delete the rows that refer to it.

CREATE TABLE jobs_rebuilt (
    -- Order of acceptance; ids sort by the clock, which may jump.
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    -- Which kinds there are is the server's to know.
    type         TEXT    NOT NULL CHECK (type <> ''),
    state        TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    owner        TEXT    NOT NULL,
    priority     TEXT    NOT NULL CHECK (priority IN ('vip', 'normal', 'bulk')),
    -- How often the job was started, as clients see it; a drain gives one attempt back.
    attempt      INTEGER NOT NULL CHECK (attempt >= 0),
    -- How often it was ever started. Only grows, so that two runs of one job never hold the same number.
    fence        INTEGER NOT NULL,
    created_at   REAL    NOT NULL,
    started_at   REAL,
    finished_at  REAL,
    units_total  INTEGER NOT NULL,
    units_done   INTEGER NOT NULL,
    units_cached INTEGER NOT NULL,
    -- 0: `request` is a summary, and the job cannot be run again.
    kept         INTEGER NOT NULL DEFAULT 1 CHECK (kept IN (0, 1)),
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

-- Until this version an empty text in a finished job said that the request was not kept.
INSERT INTO jobs_rebuilt (seq, id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at,
                          units_total, units_done, units_cached, kept, error, result, request)
SELECT seq, id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at,
       units_total, units_done, units_cached,
       CASE WHEN finished_at IS NOT NULL AND request ->> '$.text' = '' THEN 0 ELSE 1 END,
       error, result, request
  FROM jobs ORDER BY seq;

DROP TABLE jobs;
ALTER TABLE jobs_rebuilt RENAME TO jobs;

CREATE INDEX jobs_of_owner ON jobs (owner, id);
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
