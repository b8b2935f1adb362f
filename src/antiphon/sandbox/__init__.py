"""Sandbox: decodes files from clients in a child process under limits.

Entry points: `client.read` for a voice to clone, `client.decode` for any reader of this room."""
