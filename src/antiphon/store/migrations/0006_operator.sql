-- What an operator set: it survives a restart.

-- Since when a job is paused (seconds since the epoch); NULL: it is not.
ALTER TABLE jobs ADD COLUMN paused_at REAL;
-- Above 0: the job was moved to the front, and the greatest goes first.
ALTER TABLE jobs ADD COLUMN front INTEGER CHECK (front > 0);
-- The class that an operator gave it, in place of that of its request; its deadline counts no more.
ALTER TABLE jobs ADD COLUMN ordered_priority TEXT CHECK (ordered_priority IN ('vip', 'normal', 'bulk'));

-- Clients whose work is paused; the client '' stands for everything.
CREATE TABLE pauses (
    client TEXT NOT NULL PRIMARY KEY,
    -- Seconds since the epoch.
    since  REAL NOT NULL
) STRICT, WITHOUT ROWID;
