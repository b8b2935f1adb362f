"""The job store: durable work that survives the process, in SQLite, and its twin in memory."""
