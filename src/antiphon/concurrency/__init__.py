"""Concurrency: background tasks and threads.

Entry points: `tasks.TaskSet`, `tasks.retry_until`, `threads.Threads`."""
