"""Models: which this server runs, when each is in memory, where its workers are, and which one a request gets.

Entry points: `registry.ModelRegistry` for their life, `selection.ModelSelector` for requests, `served.ServedModel`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["placement", "registry", "selection", "served"]
