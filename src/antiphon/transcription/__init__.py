"""Transcription: plans a recording as pieces, and joins their transcripts.

Entry points: `kind.kind` for jobs, `kind.whole` and `kind.pieces` for waiting requests, `recordings.RecordingStore`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["kind", "recordings"]
