"""The job store in PostgreSQL, which several servers share. `store.PostgresStore` is the entry point."""
