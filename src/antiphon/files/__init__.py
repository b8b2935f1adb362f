"""Files: finished files and recordings, in this server's folders and in the storage that several servers share.

Entry points: `store.FileStore`, `bucket.Bucket`, `disk_space.DiskSpace`, `atomic.write`, `folders.trim_folder`."""
