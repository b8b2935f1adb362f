"""Speech: plans a text as segments, and turns their audio into an answer.

Entry points: `service.SpeechService` for waiting requests, `session.SpeechSession` for text that comes in parts,
`kind.kind` for jobs. In between: `planner` → `plan` → `render` → `response`."""
