"""References: recordings whose voices models clone; each belongs to one owner.

Entry point: `service.References`; its files are in `library.Library`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["library", "service"]
