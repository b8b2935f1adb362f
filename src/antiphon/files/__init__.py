"""Files: finished files and recordings, in this server's folders and in the storage that several servers share.

Entry points: `store.FileStore`, `bucket.Bucket`, `disk_space.DiskSpace`, `atomic.write`, `folders.trim_folder`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["atomic", "bucket", "disk_space", "folders", "store"]
