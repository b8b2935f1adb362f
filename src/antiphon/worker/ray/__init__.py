"""Workers on the nodes of a Ray cluster.

`link` is the server's side: it starts `bridge`, the one process that speaks with Ray, so that a crash of Ray's native
core, which ends its process when the cluster's head is gone, ends no server. For each worker the bridge makes an actor,
`host`, which runs the same child process that a local pool runs, and carries its frames. `wire` is what the two ends
of the pipe to the bridge say. Nothing here but `bridge` imports Ray.
"""
