"""App: the rooms wired together, and their life."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["antiphon", "data_folder", "kinds", "stores"]
