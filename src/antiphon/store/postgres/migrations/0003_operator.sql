-- What an operator set: it survives a restart, and a pause of a client or of everything holds on all servers.

ALTER TABLE jobs
    -- Since when a job is paused (seconds since the epoch); NULL: it is not.
    ADD COLUMN paused_at double precision,
    -- Above 0: the job was moved to the front, and the greatest goes first.
    ADD COLUMN front bigint CHECK (front > 0),
    -- The class that an operator gave it, in place of that of its request; its deadline counts no more.
    ADD COLUMN ordered_priority text CHECK (ordered_priority IN ('vip', 'normal', 'bulk'));

-- Clients whose work is paused; the client '' stands for everything.
CREATE TABLE pauses (
    client text PRIMARY KEY,
    -- Seconds since the epoch.
    since  double precision NOT NULL
);
