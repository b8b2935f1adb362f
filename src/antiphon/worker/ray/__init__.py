"""Workers on the nodes of a Ray cluster.

`client` is the server's side. It starts `bridge`, the only process that speaks with Ray: Ray's native core ends its
process when the cluster's head is gone, and that must not be the server. For each worker the bridge creates an actor
(`actor`), which runs the same child process as a local pool and carries its frames. `messages` is the protocol between
the server and the bridge. Only `bridge` imports Ray.
"""
