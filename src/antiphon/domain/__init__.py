"""Domain: the types that all rooms share: requests, jobs, units, engines, events, errors. Standard library only.

Start with `request.SpeechRequest`, `unit.Unit`, `job.Job`, `engine.Engine`, `plan.Plan`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = [
    "api_key",
    "client_values",
    "engine",
    "errors",
    "event",
    "ids",
    "image",
    "job",
    "kind",
    "paths",
    "plan",
    "request",
    "transcription",
    "unit",
    "voice",
]  # fmt: skip
