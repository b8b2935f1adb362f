-- Every statement of the SQLite store. `-- name:` begins one; the comment under it says what it is for.
-- Parameters are positional, in the order of their numbers. $JOB and $VOICE stand for the columns of a job and a voice.

-- name: add
-- An accepted job; its fence begins as its attempt.
INSERT INTO jobs (id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at,
                  units_total, units_done, units_cached, kept, paused_at, front, ordered_priority, error, result,
                  request)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19);

-- name: find_key
-- The job of an idempotency key that is not too old.
SELECT body_digest, job FROM idempotency WHERE owner = ?1 AND key = ?2 AND created_at > ?3;

-- name: keep_key
-- REPLACE, because a key that is too old may still be stored.
INSERT OR REPLACE INTO idempotency (owner, key, body_digest, job, created_at) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: start
UPDATE jobs
   SET state = 'running', attempt = attempt + 1, fence = fence + 1, started_at = coalesce(started_at, ?2)
 WHERE id = ?1 AND state = 'queued'
RETURNING fence;

-- name: progress
UPDATE jobs SET units_total = ?3, units_done = ?4, units_cached = ?5
 WHERE id = ?1 AND fence = ?2 AND state = 'running'
RETURNING 1;

-- name: finish
-- A run that was released, rescued or cancelled meanwhile has an old fence and changes nothing.
UPDATE jobs
   SET state = ?3, finished_at = ?4, result = ?5, error = ?6,
       units_total = coalesce(?7, units_total), units_done = coalesce(?8, units_done),
       units_cached = coalesce(?9, units_cached)
 WHERE id = ?1 AND fence = ?2 AND state = 'running'
RETURNING 1;

-- name: release
-- Gives the attempt back if ?3 is 1. The fence stays used up.
UPDATE jobs SET state = 'queued', attempt = attempt - ?3
 WHERE id = ?1 AND fence = ?2 AND state = 'running'
RETURNING 1;

-- name: cancel
UPDATE jobs SET state = 'cancelled', finished_at = ?3
 WHERE id = ?1 AND (?2 IS NULL OR owner = ?2) AND state IN ('queued', 'running')
RETURNING 1;

-- name: retry
-- A job that is queued again is neither paused nor in front; its class stays.
UPDATE jobs SET state = 'queued', finished_at = NULL, error = NULL, paused_at = NULL, front = NULL
 WHERE id = ?1 AND (?2 IS NULL OR owner = ?2) AND state IN ('failed', 'cancelled')
RETURNING 1;

-- name: requeue_succeeded
-- A succeeded job gets another request; its result is removed.
UPDATE jobs SET state = 'queued', finished_at = NULL, error = NULL, result = NULL, request = ?3,
                paused_at = NULL, front = NULL
 WHERE id = ?1 AND (?2 IS NULL OR owner = ?2) AND state = 'succeeded'
RETURNING 1;

-- name: set_orders
UPDATE jobs SET paused_at = ?2, front = ?3, ordered_priority = ?4
 WHERE id = ?1 AND state IN ('queued', 'running')
RETURNING 1;

-- name: pauses
SELECT client, since FROM pauses ORDER BY since, client;

-- name: pause
-- Who is paused already is paused since then.
INSERT INTO pauses (client, since) VALUES (?1, ?2) ON CONFLICT (client) DO NOTHING;

-- name: unpause
DELETE FROM pauses WHERE client = ?1;

-- name: requeue_running
-- No job runs when a server starts: a running job in the database was interrupted.
UPDATE jobs SET state = 'queued' WHERE state = 'running';

-- name: unannounced_endings
-- Kept jobs that ended between ?1 and ?2 without an event that says so.
SELECT $JOB
  FROM jobs
 WHERE finished_at >= ?1 AND finished_at < ?2 AND kept = 1
   AND NOT EXISTS (SELECT 1 FROM events
                    WHERE events.job = jobs.id AND events.at >= jobs.finished_at - ?3
                      AND events.type IN ('job.succeeded', 'job.failed', 'job.cancelled'))
 ORDER BY finished_at;

-- name: last_seq
SELECT coalesce(max(seq), 0) FROM jobs;

-- name: queued_after
-- Queued jobs in the order of acceptance, after number ?1 and up to ?2.
SELECT $JOB
  FROM jobs WHERE state = 'queued' AND seq > ?1 AND seq <= ?2 ORDER BY seq;

-- name: get
SELECT $JOB
  FROM jobs WHERE id = ?1 AND (?2 IS NULL OR owner = ?2);

-- name: list
-- Newest first; ?1 is the cursor (or NULL), ?2 a JSON array of states (or NULL).
SELECT $JOB
  FROM jobs
 WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR state IN (SELECT value FROM json_each(?2)))
 ORDER BY id DESC LIMIT ?3;

-- name: list_of_owner
-- The same for one owner, by its index; ?4 is the owner.
SELECT $JOB
  FROM jobs
 WHERE owner = ?4 AND (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR state IN (SELECT value FROM json_each(?2)))
 ORDER BY id DESC LIMIT ?3;

-- name: counts
SELECT state, count(*) FROM jobs GROUP BY state;

-- name: append_events
-- All events of a call in one statement: ?1 is a JSON array of {id, type, at, job, owner, data}.
INSERT INTO events (id, type, at, job, owner, data)
SELECT value ->> 'id', value ->> 'type', value ->> 'at', value ->> 'job', value ->> 'owner', value -> 'data'
  FROM json_each(?1);

-- name: events_after
-- ?2 is the owner that may see them (or NULL for all), ?3 the limit.
SELECT id, type, at, job, owner, data FROM events
 WHERE id > ?1 AND (?2 IS NULL OR owner IS NULL OR owner = ?2) ORDER BY id LIMIT ?3;

-- name: events_of_job
-- The same for one job, ?4.
SELECT id, type, at, job, owner, data FROM events
 WHERE job = ?4 AND id > ?1 AND (?2 IS NULL OR owner IS NULL OR owner = ?2) ORDER BY id LIMIT ?3;

-- name: last_event
SELECT coalesce(max(id), 0) FROM events;

-- name: oldest_kept_event
-- The first event that is young enough, else the newest: it stays, because new ids follow it.
SELECT coalesce((SELECT id FROM events WHERE at >= ?1 ORDER BY id LIMIT 1), (SELECT max(id) FROM events), 0);

-- name: prune_events
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ?1 ORDER BY id LIMIT ?2) RETURNING 1;

-- name: prune_jobs
DELETE FROM jobs
 WHERE seq IN (SELECT seq FROM jobs WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2)
RETURNING result ->> 'name';

-- name: prune_keys
DELETE FROM idempotency
 WHERE (owner, key) IN (SELECT owner, key FROM idempotency WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)
RETURNING 1;

-- name: get_value
SELECT value FROM documents WHERE name = ?1;

-- name: set_value
INSERT INTO documents (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: set_default
INSERT INTO documents (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING;

-- name: add_webhook
INSERT INTO webhooks (id, job, url, secret) VALUES (?1, ?2, ?3, ?4);

-- name: pending_webhooks
SELECT id, job, url, secret, tries, next_at FROM webhooks ORDER BY id;

-- name: webhook_done
DELETE FROM webhooks WHERE id = ?1;

-- name: webhook_failed
UPDATE webhooks SET tries = tries + 1, next_at = ?2, error = ?3 WHERE id = ?1;

-- name: add_voice
INSERT INTO voices (id, owner, name, digest, seconds, bytes, consent, created_at, media_type, ref_text, description,
                    languages)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12);

-- name: voices
-- The voices of one owner, oldest first.
SELECT $VOICE
  FROM voices WHERE owner = ?1 ORDER BY created_at, id;

-- name: voice
-- By its id, else by its name. The id goes first: it is generated, while a client chooses the name.
SELECT $VOICE
  FROM voices WHERE owner = ?1 AND (id = ?2 OR name = ?2) ORDER BY id <> ?2 LIMIT 1;

-- name: remove_voice
DELETE FROM voices WHERE id = ?1;

-- name: digest_used
SELECT 1 FROM voices WHERE digest = ?1 LIMIT 1;

-- name: add_key
INSERT INTO keys (id, name, digest, priority, admin, quota, created_at, revoked_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);

-- name: keys
SELECT id, name, digest, priority, admin, quota, created_at, revoked_at FROM keys ORDER BY created_at, id;

-- name: revoke_key
-- Several keys of one name may have been revoked before.
UPDATE keys SET revoked_at = ?2 WHERE (id = ?1 OR name = ?1) AND revoked_at IS NULL
RETURNING id, name, digest, priority, admin, quota, created_at, revoked_at;

-- name: add_usage
INSERT INTO usage (key, day, seconds) VALUES (?1, ?2, ?3)
ON CONFLICT (key, day) DO UPDATE SET seconds = seconds + excluded.seconds;

-- name: usage
SELECT key, seconds FROM usage WHERE day = ?1;
