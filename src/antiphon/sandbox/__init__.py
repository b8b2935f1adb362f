"""Sandbox: decodes files from clients in a child process under limits.

Entry points: `client.read` for a voice to clone, `client.decode` for any reader of this room."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["client", "reference_audio", "speech_audio"]
