"""Concurrency: threads and tasks, named and watched."""
