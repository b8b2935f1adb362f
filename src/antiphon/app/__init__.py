"""App: the rooms wired together, and their life."""
