"""HTTP: routes, WebSockets and the layers around them. Entry point: `app.create_app`.

A module of routes has a function `routes` that takes the services it uses: `tts` for the article's routes, `speech`,
`transcriptions` and `images` for OpenAI's, `compat` and `speech_batch` for those of other servers. Before a route, a
request passes `tracing`, `request_log`, `guard`, `client_limits` and `fast_path`. Its connection is one of `protocols`.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["app", "protocols"]
