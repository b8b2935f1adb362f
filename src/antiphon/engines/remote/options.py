"""What an operator says of another speech server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

Dialect = Literal["auto", "openai", "vllm-omni"]


@dataclass(frozen=True, slots=True)
class Options:
    """`url`, or `spawn`: one of them."""

    #: Where the server is, with or without /v1 at the end.
    url: str = ""
    #: Folder of a model that `vllm serve` is started with here.
    spawn: str = ""
    #: Command that is started; of another virtual environment by its path.
    command: str = "vllm"
    deploy_config: str = ""
    arguments: tuple[str, ...] = ()
    #: Its name there; empty: the first one that it lists.
    remote: str = ""
    #: Environment variable that holds the key.
    key_env: str = ""
    #: auto: vllm-omni where the list of voices looks like its.
    dialect: Dialect = "auto"
    #: Voices, if it does not list them.
    voices: tuple[str, ...] = ()
    #: Hz; 0: as a first sentence says.
    sample_rate: int = 0
    #: Requests that it is given at the same time.
    slots: int = 4
    #: Seconds: for a connection, for the next bytes, for a server that is away or busy, for one that starts.
    connect_seconds: float = 5.0
    stall_seconds: float = 60.0
    patience: float = 120.0
    start_seconds: float = 1800.0
    #: Folder of the uploaded recordings.
    recordings: Path | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """From an engine's options. Raises ValueError that names what is wrong."""
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
        """Raises ValueError for a variable that is not set."""
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
