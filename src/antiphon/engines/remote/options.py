"""Options: what an operator sets for another speech server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

Dialect = Literal["auto", "openai", "vllm-omni"]


@dataclass(frozen=True, slots=True)
class Options:
    """Either `url` or `spawn` is set."""

    #: The server's address, with or without /v1 at the end.
    url: str = ""
    #: Folder of a model; the worker starts `vllm serve` with it.
    spawn: str = ""
    #: Command to start; a path, for one of another virtual environment.
    command: str = "vllm"
    deploy_config: str = ""
    arguments: tuple[str, ...] = ()
    #: The model's name on the server; empty is the first that the server lists.
    remote: str = ""
    #: Environment variable that holds the API key.
    key_env: str = ""
    #: `auto` is vllm-omni if the server's list of voices has its form.
    dialect: Dialect = "auto"
    #: Voices of a server that does not list them.
    voices: tuple[str, ...] = ()
    #: Hz; 0 asks the server for one sentence and reads its rate.
    sample_rate: int = 0
    #: Requests that the server gets at the same time.
    slots: int = 4
    #: Seconds to wait: for a connection, for the next bytes, for a server that is away or busy, for one that starts.
    connect_seconds: float = 5.0
    stall_seconds: float = 60.0
    patience: float = 120.0
    start_seconds: float = 1800.0
    #: Folder of the uploaded references.
    recordings: Path | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """From an engine's options. Raises `ValueError` that says what is wrong."""
        named = {f.name for f in fields(cls)} - {"voices", "recordings", "arguments"}
        made = cls(
            **{name: options[name] for name in named if name in options},
            voices=tuple(options.get("remote_voices") or ()),
            arguments=tuple(map(str, options.get("arguments") or ())),
            recordings=Path(options["voices"]) if options.get("voices") else None,
        )
        if bool(made.url) == bool(made.spawn):
            raise ValueError("say where the server is (url), or which folder to start one with (spawn)")
        if made.url and not made.url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with http:// or https://, not {made.url[:80]!r}")
        if made.dialect not in get_args(Dialect):
            raise ValueError(f"dialect must be one of {', '.join(get_args(Dialect))}, not {made.dialect!r}")
        for name in ("connect_seconds", "stall_seconds", "patience", "start_seconds"):
            if not 0 < float(getattr(made, name)) <= 86400:
                raise ValueError(f"{name} must be above 0 and at most a day, not {getattr(made, name)}")
        if not 1 <= made.slots <= 256:
            raise ValueError(f"slots must be 1 to 256, not {made.slots}")
        return made

    def key(self) -> str | None:
        """The API key. Raises `ValueError` if the variable is not set."""
        if not self.key_env:
            return None
        key = os.environ.get(self.key_env)
        if not key:
            raise ValueError(f"key_env names {self.key_env}, which is not set in the server's environment")
        return key

    def base(self, port: int | None = None) -> str:
        """The address that paths such as /v1/models follow."""
        url = self.url or f"http://127.0.0.1:{port}"
        return url.rstrip("/").removesuffix("/v1")
