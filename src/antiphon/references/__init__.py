"""References: recordings whose voices models clone; each belongs to one owner.

Entry point: `service.References`; its files are in `library.Library`."""
