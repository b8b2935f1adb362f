"""Domain: the types that all rooms share: requests, jobs, units, engines, events, errors. Standard library only.

Start with `request.SpeechRequest`, `unit.Unit`, `job.Job`, `engine.Engine`, `work.Plan`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = [
    "engine", "errors", "event", "ids", "image", "job", "key", "kind", "request", "transcription", "unit", "voice",
    "work",
]  # fmt: skip
