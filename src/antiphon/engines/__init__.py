"""Engines: plug-ins that each hold a model in a worker process. The server finds them by entry point."""
