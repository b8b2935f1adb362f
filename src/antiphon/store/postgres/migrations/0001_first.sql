-- The tables of the SQLite store, and what servers need that share them. JSON is kept as the text that was given
-- (`json`, not `jsonb`, which refuses an escaped NUL).

CREATE TABLE servers (
    -- What the server's data directory is called; the same over restarts.
    name        text PRIMARY KEY,
    -- Grows with every start: a process that lost its name to a newer one notices.
    life        bigint NOT NULL DEFAULT 1,
    -- Its place among the living, from 0: event ids are told apart by it.
    slot        integer NOT NULL CHECK (slot >= 0),
    -- Whose work it is until then, by the database's clock.
    lease_until timestamptz NOT NULL
);

CREATE TABLE jobs (
    seq          bigserial PRIMARY KEY,
    id           text   NOT NULL UNIQUE CHECK (id <> ''),
    type         text   NOT NULL CHECK (type IN ('speech', 'transcription', 'image')),
    state        text   NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    owner        text   NOT NULL,
    priority     text   NOT NULL CHECK (priority IN ('vip', 'normal', 'bulk')),
    attempt      bigint NOT NULL CHECK (attempt >= 0),
    fence        bigint NOT NULL,
    created_at   double precision NOT NULL,
    started_at   double precision,
    finished_at  double precision,
    units_total  bigint NOT NULL,
    units_done   bigint NOT NULL,
    units_cached bigint NOT NULL,
    error        json,
    result       json,
    request      json NOT NULL,
    -- Whose work it is.
    server       text NOT NULL,
    -- Of the last start or end: by it a server knows its own change again whose answer was lost with the connection.
    token        text,

    CONSTRAINT fence_never_behind_attempt CHECK (fence >= attempt),
    CONSTRAINT units_in_range    CHECK (0 <= units_cached AND units_cached <= units_done AND units_done <= units_total),
    CONSTRAINT running_has_begun CHECK (state <> 'running' OR (started_at IS NOT NULL AND attempt > 0)),
    CONSTRAINT final_is_finished CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT success_has_result CHECK ((state = 'succeeded') = (result IS NOT NULL)),
    CONSTRAINT failure_has_error  CHECK ((state = 'failed') = (error IS NOT NULL))
);

-- Ids are compared byte by byte, as everywhere else.
CREATE INDEX jobs_by_id ON jobs (id COLLATE "C");
CREATE INDEX jobs_of_owner ON jobs (owner, id COLLATE "C");
CREATE INDEX jobs_open ON jobs (server, seq) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE idempotency (
    owner       text NOT NULL,
    key         text NOT NULL,
    body_digest text NOT NULL,
    job         text NOT NULL REFERENCES jobs (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created_at  double precision NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_of_job ON idempotency (job);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE events (
    id    bigint PRIMARY KEY,
    type  text NOT NULL CHECK (type <> ''),
    at    double precision NOT NULL,
    job   text,
    owner text,
    data  json NOT NULL
);

CREATE INDEX events_of_job ON events (job, id) WHERE job IS NOT NULL;

CREATE TABLE documents (
    name  text PRIMARY KEY,
    value json NOT NULL
);

CREATE TABLE webhooks (
    id      text PRIMARY KEY CHECK (id <> ''),
    job     text NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    url     text NOT NULL CHECK (url <> ''),
    secret  text,
    tries   integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    next_at double precision,
    error   text,
    -- Who delivers it.
    server  text NOT NULL
);

CREATE INDEX webhooks_of_job ON webhooks (job);
CREATE INDEX webhooks_of_server ON webhooks (server);

CREATE TABLE voices (
    id          text PRIMARY KEY CHECK (id <> ''),
    owner       text NOT NULL,
    name        text NOT NULL CHECK (name <> ''),
    digest      text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    seconds     double precision NOT NULL CHECK (seconds > 0),
    bytes       bigint NOT NULL CHECK (bytes > 0),
    consent     text NOT NULL CHECK (btrim(consent) <> ''),
    created_at  double precision NOT NULL,
    media_type  text NOT NULL,
    ref_text    text,
    description text,
    languages   json NOT NULL,

    CONSTRAINT one_of_a_name UNIQUE (owner, name)
);

CREATE INDEX voices_of_digest ON voices (digest);

CREATE TABLE keys (
    id         text PRIMARY KEY CHECK (id <> ''),
    name       text NOT NULL CHECK (name <> ''),
    digest     text NOT NULL UNIQUE CHECK (digest ~ '^[0-9a-f]{64}$'),
    priority   text NOT NULL CHECK (priority IN ('vip', 'normal', 'bulk')),
    admin      boolean NOT NULL,
    quota      double precision CHECK (quota > 0),
    created_at double precision NOT NULL,
    revoked_at double precision
);

CREATE UNIQUE INDEX one_living_key_of_a_name ON keys (name) WHERE revoked_at IS NULL;

CREATE TABLE usage (
    key     text NOT NULL,
    day     text NOT NULL,
    seconds double precision NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (key, day)
);

-- Requests of each caller in each minute, for rate limits that hold across servers. Not logged: what a crash of the
-- database forgets is a minute of counting.
CREATE UNLOGGED TABLE hits (
    name   text NOT NULL,
    minute bigint NOT NULL,
    count  integer NOT NULL,
    PRIMARY KEY (name, minute)
);
