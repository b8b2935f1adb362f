-- Every statement of the PostgreSQL store. `-- name:` begins one; $JOB and $VOICE stand for the columns of a job and a
-- voice.

-- name: add
INSERT INTO jobs (id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at,
                  units_total, units_done, units_cached, kept, paused_at, front, ordered_priority, error, result,
                  request, server)
VALUES (%(id)s, %(type)s, %(state)s, %(owner)s, %(priority)s, %(attempt)s, %(attempt)s, %(created_at)s,
        %(started_at)s, %(finished_at)s, %(units_total)s, %(units_done)s, %(units_cached)s, %(kept)s, %(paused_at)s,
        %(front)s, %(ordered_priority)s, %(error)s, %(result)s, %(request)s, %(server)s);

-- name: forget_key
-- A key that is too old.
DELETE FROM idempotency WHERE owner = %(owner)s AND key = %(key)s AND created_at <= %(oldest)s;

-- name: keep_key
-- Waits for another transaction that stores the same key. The job is stored in this transaction afterwards.
INSERT INTO idempotency (owner, key, body_digest, job, created_at)
VALUES (%(owner)s, %(key)s, %(digest)s, %(job)s, %(now)s)
ON CONFLICT (owner, key) DO NOTHING RETURNING 1;

-- name: find_key
SELECT body_digest, job FROM idempotency WHERE owner = %(owner)s AND key = %(key)s AND created_at > %(oldest)s;

-- name: start
-- Only the job's own server starts it.
UPDATE jobs
   SET state = 'running', attempt = attempt + 1, fence = fence + 1, started_at = coalesce(started_at, %(now)s),
       token = %(token)s
 WHERE id = %(id)s AND state = 'queued' AND server = %(server)s
RETURNING fence;

-- name: started
SELECT fence FROM jobs WHERE id = %(id)s AND state = 'running' AND token = %(token)s;

-- name: progress
-- Calls may overtake each other on their connections, so progress never goes back.
UPDATE jobs
   SET units_total = %(total)s,
       units_done = least(%(total)s, greatest(units_done, %(done)s)),
       units_cached = least(least(%(total)s, greatest(units_done, %(done)s)), greatest(units_cached, %(cached)s))
 WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING 1;

-- name: finish
UPDATE jobs
   SET state = %(state)s, finished_at = %(now)s, result = %(result)s, error = %(error)s, token = %(token)s,
       units_total = coalesce(%(total)s, units_total), units_done = coalesce(%(done)s, units_done),
       units_cached = coalesce(%(cached)s, units_cached)
 WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING 1;

-- name: finished
SELECT 1 FROM jobs WHERE id = %(id)s AND fence = %(fence)s AND state = %(state)s AND token = %(token)s;

-- name: release
UPDATE jobs SET state = 'queued', attempt = attempt - %(back)s, token = %(token)s
 WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING 1;

-- name: released
SELECT 1 FROM jobs WHERE id = %(id)s AND fence = %(fence)s AND token = %(token)s;

-- name: cancel
UPDATE jobs SET state = 'cancelled', finished_at = %(now)s
 WHERE id = %(id)s AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND state IN ('queued', 'running')
RETURNING server;

-- name: cancelled
SELECT server FROM jobs
 WHERE id = %(id)s AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND state = 'cancelled' AND finished_at = %(now)s;

-- name: retry
-- The server that gets the request takes over the job.
-- A job that is queued again is neither paused nor in front; its class stays.
UPDATE jobs
   SET state = 'queued', finished_at = NULL, error = NULL, paused_at = NULL, front = NULL, server = %(server)s,
       token = %(token)s
 WHERE id = %(id)s AND (%(owner)s::text IS NULL OR owner = %(owner)s)
   AND (state IN ('failed', 'cancelled') OR token = %(token)s)
RETURNING 1;

-- name: requeue_succeeded
UPDATE jobs
   SET state = 'queued', finished_at = NULL, error = NULL, result = NULL, request = %(request)s, paused_at = NULL,
       front = NULL, server = %(server)s, token = %(token)s
 WHERE id = %(id)s AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (state = 'succeeded' OR token = %(token)s)
RETURNING 1;

-- name: set_orders
UPDATE jobs SET paused_at = %(paused_at)s, front = %(front)s, ordered_priority = %(priority)s
 WHERE id = %(id)s AND state IN ('queued', 'running')
RETURNING 1;

-- name: pauses
SELECT client, since FROM pauses ORDER BY since, client;

-- name: pause
INSERT INTO pauses (client, since) VALUES (%(client)s, %(since)s) ON CONFLICT (client) DO NOTHING;

-- name: unpause
DELETE FROM pauses WHERE client = %(client)s;

-- name: take_over
-- This server takes over the jobs of servers that are not alive and, at its start (%(own)s), those of its previous
-- process. A late finish of a run elsewhere is refused, because the job is no longer running.
UPDATE jobs SET state = 'queued', server = %(server)s, token = %(token)s
 WHERE state IN ('queued', 'running')
   AND ((server = %(server)s AND %(own)s)
        OR (server <> %(server)s
            AND NOT EXISTS (SELECT 1 FROM servers WHERE name = jobs.server AND lease_until > clock_timestamp())))
RETURNING seq;

-- name: unannounced_endings
-- Kept jobs that ended without an event that says so, of this server's previous process (%(own)s) or of a server that is
-- not alive. They become this server's, so that no other server announces them.
UPDATE jobs SET server = %(server)s
 WHERE finished_at >= %(since)s AND kept
   AND ((%(own)s AND server = %(server)s AND finished_at < %(before)s)
        OR (server <> %(server)s
            AND NOT EXISTS (SELECT 1 FROM servers WHERE name = jobs.server AND lease_until > clock_timestamp())))
   AND NOT EXISTS (SELECT 1 FROM events
                    WHERE events.job = jobs.id AND events.at >= jobs.finished_at - %(slack)s
                      AND events.type IN ('job.succeeded', 'job.failed', 'job.cancelled'))
RETURNING $JOB;

-- name: take_over_webhooks
UPDATE webhooks SET server = %(server)s
 WHERE server <> %(server)s
   AND NOT EXISTS (SELECT 1 FROM servers WHERE name = webhooks.server AND lease_until > clock_timestamp());

-- name: taken
-- The jobs of one take-over in the order of acceptance, after a number.
SELECT $JOB FROM jobs
 WHERE server = %(server)s AND state = 'queued' AND token = %(token)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s;

-- name: get
SELECT $JOB FROM jobs WHERE id = %(id)s AND (%(owner)s::text IS NULL OR owner = %(owner)s);

-- name: list
SELECT $JOB FROM jobs
 WHERE (%(owner)s::text IS NULL OR owner = %(owner)s)
   AND (%(after)s::text IS NULL OR id COLLATE "C" < %(after)s)
   AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
 ORDER BY id COLLATE "C" DESC LIMIT %(limit)s;

-- name: counts
SELECT state, count(*) FROM jobs GROUP BY state;

-- name: own_jobs
-- Of these jobs, the ones that are unfinished and belong to this server.
SELECT id FROM jobs WHERE id = ANY (%(ids)s) AND server = %(server)s AND state IN ('queued', 'running');

-- name: append_event
-- A job's end is not told again by a server that was taken for gone meanwhile, since another one tells it
-- (unannounced_endings).
INSERT INTO events (id, type, at, job, owner, data)
SELECT %(id)s, %(type)s::text, %(at)s, %(job)s::text, %(owner)s::text, %(data)s::json
 WHERE %(type)s::text NOT IN ('job.succeeded', 'job.failed', 'job.cancelled')
    OR NOT EXISTS (SELECT 1 FROM jobs
                    WHERE id = %(job)s::text AND server <> %(server)s::text
                      AND state IN ('succeeded', 'failed', 'cancelled'))

-- name: events_after
SELECT id, type, at, job, owner, data::text FROM events
 WHERE id > %(id)s AND (%(owner)s::text IS NULL OR owner IS NULL OR owner = %(owner)s) ORDER BY id LIMIT %(limit)s;

-- name: events_of_job
SELECT id, type, at, job, owner, data::text FROM events
 WHERE job = %(job)s AND id > %(id)s AND (%(owner)s::text IS NULL OR owner IS NULL OR owner = %(owner)s)
 ORDER BY id LIMIT %(limit)s;

-- name: events_between
-- The events that one other server stored.
SELECT id, type, at, job, owner, data::text FROM events
 WHERE id >= %(first)s AND id <= %(last)s AND id %% %(slots)s = %(slot)s ORDER BY id;

-- name: last_event
SELECT coalesce(max(id), 0) FROM events;

-- name: oldest_kept_event
SELECT coalesce((SELECT id FROM events WHERE at >= %(before)s ORDER BY id LIMIT 1), (SELECT max(id) FROM events), 0);

-- name: prune_events
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < %(before)s ORDER BY id LIMIT %(limit)s) RETURNING 1;

-- name: prune_jobs
-- Two servers that prune at the same time remove different jobs.
DELETE FROM jobs
 WHERE seq IN (SELECT seq FROM jobs WHERE finished_at < %(before)s
                ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING result ->> 'name';

-- name: prune_keys
DELETE FROM idempotency
 WHERE (owner, key) IN (SELECT owner, key FROM idempotency WHERE created_at <= %(before)s
                         ORDER BY created_at LIMIT %(limit)s)
RETURNING 1;

-- name: prune_hits
DELETE FROM hits WHERE minute < %(minute)s - 1;

-- name: get_value
SELECT value::text FROM documents WHERE name = %(name)s;

-- name: set_value
INSERT INTO documents (name, value) VALUES (%(name)s, %(value)s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: set_default
INSERT INTO documents (name, value) VALUES (%(name)s, %(value)s) ON CONFLICT (name) DO NOTHING;

-- name: add_webhook
INSERT INTO webhooks (id, job, url, secret, server)
VALUES (%(id)s, %(job)s, %(url)s, %(secret)s, %(server)s);

-- name: pending_webhooks
SELECT id, job, url, secret, tries, next_at FROM webhooks WHERE server = %(server)s ORDER BY id;

-- name: webhook_done
DELETE FROM webhooks WHERE id = %(id)s;

-- name: webhook_failed
UPDATE webhooks SET tries = tries + 1, next_at = %(next_at)s, error = %(error)s WHERE id = %(id)s;

-- name: add_voice
INSERT INTO voices (id, owner, name, digest, seconds, bytes, consent, created_at, media_type, ref_text, description,
                    languages)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: voices
SELECT $VOICE FROM voices WHERE owner = %(owner)s ORDER BY created_at, id COLLATE "C";

-- name: voice
-- By its id, else by its name. The id goes first: it is generated, while a client chooses the name.
SELECT $VOICE FROM voices
 WHERE owner = %(owner)s AND (id = %(name)s OR name = %(name)s) ORDER BY id <> %(name)s LIMIT 1;

-- name: remove_voice
DELETE FROM voices WHERE id = %(id)s;

-- name: digest_used
SELECT 1 FROM voices WHERE digest = %(digest)s LIMIT 1;

-- name: add_key
INSERT INTO keys (id, name, digest, priority, admin, quota, created_at, revoked_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s);

-- name: keys
SELECT id, name, digest, priority, admin, quota, created_at, revoked_at
  FROM keys ORDER BY created_at, id COLLATE "C";

-- name: revoke_key
UPDATE keys SET revoked_at = %(at)s WHERE (id = %(name)s OR name = %(name)s) AND revoked_at IS NULL
RETURNING id, name, digest, priority, admin, quota, created_at, revoked_at;

-- name: add_usage
INSERT INTO usage (key, day, seconds) VALUES (%(key)s, %(day)s, %(seconds)s)
ON CONFLICT (key, day) DO UPDATE SET seconds = usage.seconds + excluded.seconds;

-- name: usage
SELECT key, seconds FROM usage WHERE day = %(day)s;

-- name: hit
-- Counts a request; returns the counts of this minute and of the one before.
WITH counted AS (
  INSERT INTO hits (name, minute, count) VALUES (%(name)s, %(minute)s, 1)
  ON CONFLICT (name, minute) DO UPDATE SET count = hits.count + 1 RETURNING count)
SELECT (SELECT count FROM counted),
       coalesce((SELECT count FROM hits WHERE name = %(name)s AND minute = %(minute)s - 1), 0);

-- name: unhit
-- A refused request does not count.
UPDATE hits SET count = count - 1 WHERE name = %(name)s AND minute = %(minute)s;

-- name: join
-- Takes the lowest slot that no server that is alive has. Runs under the advisory lock.
INSERT INTO servers (name, slot, lease_until)
SELECT %(server)s, min(slot), clock_timestamp() + make_interval(secs => %(lease)s)
  FROM generate_series(0, %(slots)s - 1) AS slot
 WHERE slot NOT IN (SELECT s.slot FROM servers s WHERE s.name <> %(server)s AND s.lease_until > clock_timestamp())
ON CONFLICT (name) DO UPDATE SET life = servers.life + 1, slot = excluded.slot, lease_until = excluded.lease_until
RETURNING life, slot;

-- name: renew
UPDATE servers SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE name = %(server)s AND life = %(life)s
RETURNING lease_until;

-- name: leave
UPDATE servers SET lease_until = '-infinity' WHERE name = %(server)s AND life = %(life)s;

-- name: servers
SELECT name, slot, extract(epoch FROM lease_until - clock_timestamp()) FROM servers
 WHERE lease_until > clock_timestamp() ORDER BY name COLLATE "C";

-- name: prune_servers
DELETE FROM servers WHERE lease_until < clock_timestamp() - interval '1 day'
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.server = servers.name AND state IN ('queued', 'running'))
   AND NOT EXISTS (SELECT 1 FROM webhooks WHERE webhooks.server = servers.name);

-- name: notify
SELECT pg_notify(%(channel)s, %(message)s);
