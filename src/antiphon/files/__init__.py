"""Files: finished files and recordings, in this server's folders and in the storage that several servers share."""
