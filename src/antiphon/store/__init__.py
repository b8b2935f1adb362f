"""The job store: durable jobs, events, webhooks, voices and API keys.

`base.JobStore` is the contract. `sqlite.SqliteStore` keeps it in one file, `postgres.store.PostgresStore` in a database
that several servers share.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["backup", "base", "cluster", "connect", "integrity", "postgres", "sqlite"]
