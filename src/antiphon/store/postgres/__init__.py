"""The job store in PostgreSQL, which several servers share."""
