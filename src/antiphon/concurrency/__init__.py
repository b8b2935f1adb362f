"""Concurrency: background tasks and threads.

Entry points: `tasks.TaskSet`, `tasks.retry_until`, `threads.Threads`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["tasks", "threads"]
