"""Speech: plans a text as segments, and turns their audio into an answer.

Entry points: `service.SpeechService` for waiting requests, `session.SpeechSession` for text that comes in parts,
`kind.kind` for jobs. In between: `planner` → `plan` → `render` → `response`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["kind", "listen", "planner", "response", "service", "session"]
