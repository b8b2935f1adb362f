"""Domain: the types that all rooms share: requests, jobs, units, engines, events, errors. Standard library only.

Start with `request.SpeechRequest`, `unit.Unit`, `job.Job`, `engine.Engine`, `work.Plan`."""
