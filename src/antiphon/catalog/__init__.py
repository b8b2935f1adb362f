"""The catalog: which models exist, and where their files come from.

`models.find` finds a listed model, `piper_voices.find` a voice, `local_models.find` a folder, `remote_models.find`
another server.
`download.Downloader` fetches files, `transfer` copies a model to a machine without a network.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["download", "local_models", "models", "piper_voices", "remote_models", "sources", "transfer"]
