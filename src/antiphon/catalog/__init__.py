"""The catalog: which models exist, and where their files come from.

`models.find` finds a listed model, `local_models.find` a folder, `remote_models.find` another server.
`download.Downloader` fetches files, `transfer` copies a model to a machine without a network.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["download", "local_models", "models", "remote_models", "sources", "transfer"]
