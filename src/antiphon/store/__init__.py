"""The job store: durable jobs, events, webhooks, voices and API keys.

`base.JobStore` is the contract. `sqlite.SqliteStore` keeps it in one file, `postgres.store.PostgresStore` in a database
that several servers share.
"""
