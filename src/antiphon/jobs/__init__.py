"""Jobs: accepted, planned, run, finished, cancelled and recovered, whatever their kind."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = [
    "active", "admission", "drain", "durable", "events", "kind", "lifecycle", "queue_control", "recovery", "repricing",
    "run", "service", "views", "waiting", "webhooks",
]  # fmt: skip
