"""Workers: the processes that hold models, the protocol with them, and what keeps them running.

Entry points: `pool.Pool` (all workers of one model), `process.WorkerProcess` (one of them, seen from the server),
`child` (the process itself), `frames` (the protocol), `channel.Channel` (the connection: `local` or `ray`).
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["channel", "frames", "gpus", "limits", "local", "pool", "process", "ray"]
