"""Engines: plug-ins that hold a model in a worker process. Found by entry point; imported by nobody."""
