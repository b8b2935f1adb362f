"""Every option of the server, declared once: file, environment, flags and --help all come from this class."""

from __future__ import annotations

import ipaddress
import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import Annotated  # noqa: UP035 - pydantic resolves it in this module's namespace

from antiphon.domain import errors

MIB = 1024 * 1024
GIB = 1024 * MIB

Workers = int | Literal["auto"]


class Settings(BaseSettings):
    """Options, strongest first: flags, `ANTIPHON_*` variables, the file given by --config, these defaults."""

    model_config = SettingsConfigDict(env_prefix="ANTIPHON_", extra="forbid", frozen=True, protected_namespaces=())

    # Where it listens
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(7860, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    insecure: bool = Field(False, description="Allow an address that others can reach while there are no keys.")

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Names that the server is called by, besides localhost and addresses; repeat for several."
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of other pages that may use it, such as https://chat.example.org; repeat for several."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Networks whose X-Forwarded-For is believed, such as 10.0.0.0/8; repeat for several."
    )
    rate_limit: int = Field(0, ge=0, description="Requests per minute of one key, or address; 0: no bound.")

    # Where it keeps things
    data_dir: Path = Field(Path("antiphon-data"), description="Database, cache, output, voices and models live here.")
    models_dir: Path | None = Field(None, description="Model files, if not in DATA_DIR/cache_hub/models.")

    # Which other servers it works with
    store: str = Field(
        "sqlite",
        description="Where jobs are: sqlite in DATA_DIR, or postgresql://USER:PASSWORD@HOST/NAME, which several "
        "servers may share.",
    )
    server_name: str | None = Field(
        None, min_length=1, max_length=60, description="What this server is called in a shared store; one of its own."
    )
    lease: float = Field(
        10.0, ge=1, description="Seconds without a sign of life after which other servers take a server's jobs over."
    )

    # What it runs
    model: Annotated[tuple[str, ...], NoDecode] = Field(
        ("auto",), description="Model to serve; repeat for several. auto: the best that can run here."
    )
    workers: Workers = Field("auto", description="Worker processes per model, or auto.")
    device: Literal["auto", "cpu"] = Field("auto", description="auto uses the GPUs that are there; cpu none.")
    memory_budget: int = Field(
        0, ge=0, description="Bytes that all models may take; beyond it they are loaded on demand. 0: no bound."
    )
    keep_alive: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="SECONDS or MODEL=SECONDS of idleness after which a model leaves the memory."
    )
    model_option: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="MODEL:NAME=VALUE, told to that model's engine; VALUE is JSON, or text. Repeat for several."
    )
    download: bool = Field(True, description="Fetch the recommended model in the background when it is missing.")
    hub: Literal["hub", "modelscope"] = Field(
        "hub", description="Who is asked first for model files: hub (Hugging Face or HF_ENDPOINT), or modelscope."
    )
    offline: bool = Field(False, description="Never use the network.")

    # How it shares
    weight_vip: float = Field(4.0, gt=0, description="Share of a vip flow against a normal one.")
    weight_bulk: float = Field(0.25, gt=0, description="Share of a bulk flow against a normal one.")
    ageing: float = Field(30.0, gt=0, description="Seconds after which waiting weighs as much as being short.")

    # What it accepts
    max_client_seconds: float = Field(3600.0, gt=0, description="Predicted seconds of work one client may have queued.")
    max_queue_seconds: float = Field(21600.0, gt=0, description="Predicted seconds of work queued overall.")
    max_client_bytes: int = Field(64 * MIB, gt=0, description="Bytes of text one client may have queued.")
    max_queue_bytes: int = Field(512 * MIB, gt=0, description="Bytes of text queued overall.")
    max_body: int = Field(16 * MIB, gt=0, description="Bytes of one request body.")

    stall_seconds: float = Field(
        30.0, gt=0, description="Seconds after which a client is cut off that takes nothing of its answer."
    )
    webhook_private: bool = Field(False, description="Let webhooks call addresses that are not public.")

    # How it treats workers
    heartbeat_timeout: float = Field(
        10.0, gt=0, description="Seconds without a sign of life after which a worker is killed."
    )
    unit_timeout: float = Field(300.0, gt=0, description="Seconds one unit may take before its worker is killed.")
    cancel_grace: float = Field(
        2.0, ge=0, description="Seconds a worker has to drop a cancelled unit before it is killed."
    )
    recycle_units: int = Field(0, ge=0, description="Units after which a worker is replaced; 0: never for that reason.")
    recycle_growth: int = Field(
        2 * GIB, ge=0, description="Bytes a worker may grow over its size when ready; 0: no bound."
    )
    recycle_leak: int = Field(
        256 * MIB, ge=0, description="Bytes of growth, unit after unit, that are taken for a leak; 0: no bound."
    )
    drain_seconds: float = Field(30.0, ge=0, description="Seconds running work gets to finish after SIGTERM.")

    # How much it keeps
    cache_bytes: int = Field(
        10 * GIB, ge=0, description="Bytes of finished audio kept on disk so that nothing is made twice."
    )
    cache_memory: int = Field(64 * MIB, ge=0, description="Bytes of them kept in memory.")
    output_bytes: int = Field(
        10 * GIB, ge=0, description="Bytes of finished files kept in the output folder; the oldest go first."
    )
    voices_bytes: int = Field(
        2 * GIB, ge=0, description="Bytes of recordings kept as voices; no new ones are taken at the bound."
    )
    uploads_bytes: int = Field(
        8 * GIB, ge=0, description="Bytes of recordings kept for transcription; those that no job needs go first."
    )
    min_free_bytes: int = Field(
        512 * MIB, ge=0, description="Bytes free on the disk under which new jobs are refused; 0: no bound."
    )
    keep_days: float = Field(7.0, gt=0, description="Days that finished jobs and their files are kept.")

    # What it tells
    target_wait: float = Field(
        2.0, gt=0, description="Seconds of waiting that 95 % should not exceed: what the capacity advice aims at."
    )
    otlp_endpoint: str | None = Field(
        None, description="Send traces to this OpenTelemetry collector (OTLP over HTTP), such as http://localhost:4318."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console in a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_text: int = Field(30, ge=0, description="Characters of a request's text in the log; 0 turns it off.")

    @field_validator("store")
    @classmethod
    def _store(cls, value: str) -> str:
        if value != "sqlite" and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("it must be sqlite or begin with postgresql://")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ipaddress.ip_network(text, strict=False)
        return value

    @field_validator("keep_alive")
    @classmethod
    def _keep_alive(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                seconds = float(text.rpartition("=")[2])
            except ValueError:
                seconds = -1.0
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{text!r} is not SECONDS or MODEL=SECONDS")
        return value

    @field_validator("model_option")
    @classmethod
    def _model_option(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            model, _, name = text.partition("=")[0].rpartition(":")
            if "=" not in text or not model or not name.isidentifier():
                raise ValueError(f"{text!r} is not MODEL:NAME=VALUE, such as indextts-2.5:num_beams=1")
        return value

    @field_validator("model_option", mode="before")
    @classmethod
    def _split_options(cls, value: object) -> object:
        """Commas part options where another one's MODEL:NAME= follows; all others are a value's own."""
        if isinstance(value, str):
            return tuple(re.split(r",(?=[\w.-]+:[A-Za-z_]\w*=)", value)) if value else ()
        return value

    @field_validator("model", "allowed_hosts", "allowed_origins", "trusted_proxies", "keep_alive", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """`ANTIPHON_MODEL=kokoro,espeak` names two; a flag is repeated instead."""
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(init_settings, InitSettingsSource)
        flags = dict(init_settings.init_kwargs)
        file = flags.pop("_file", {})
        return (
            InitSettingsSource(settings_cls, flags),
            env_settings,
            InitSettingsSource(settings_cls, file),
        )

    @property
    def models_path(self) -> Path:
        return self.models_dir or self.data_dir / "cache_hub" / "models"

    @property
    def output_path(self) -> Path:
        return self.data_dir / "output"

    @property
    def cache_path(self) -> Path:
        return self.data_dir / "cache"

    @property
    def database_path(self) -> Path:
        return self.data_dir / "antiphon.db"

    def keep_alive_by_name(self) -> dict[str, float]:
        """Seconds by model; `*` for all that are not named."""
        pairs = (text.rpartition("=") for text in self.keep_alive)
        return {name or "*": float(seconds) for name, _, seconds in pairs}

    def options_by_model(self) -> dict[str, dict[str, Any]]:
        """What the operator tells each model's engine."""
        found: dict[str, dict[str, Any]] = {}
        for text in self.model_option:
            head, _, value = text.partition("=")
            model, _, name = head.rpartition(":")
            found.setdefault(model, {})[name] = _json(value)
        return found

    def weights(self) -> dict[str, float]:
        return {"vip": self.weight_vip, "normal": 1.0, "bulk": self.weight_bulk}


def _json(text: str) -> Any:
    """A value as JSON, or as the text that it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def load(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from everywhere; raises `InvalidRequest` that names the option, the value and where it was read."""
    file: dict[str, Any] = {}
    if config is not None:
        try:
            file = tomllib.loads(config.read_text("utf-8"))
        except OSError as e:
            raise errors.InvalidRequest(f"cannot read {config}: {e.strerror}", param="config") from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise errors.InvalidRequest(f"{config} is not valid TOML: {e}", param="config") from e
        unknown = sorted(set(file) - set(Settings.model_fields))
        if unknown:
            raise errors.InvalidRequest(
                f"{config}: there is no option {', '.join(unknown)}; "
                f"`antiphon serve --help` lists them (dashes become underscores)",
                param=unknown[0],
            )
    try:
        return Settings(_file=file, **dict(flags or {}))  # type: ignore[call-arg]
    except ValidationError as e:
        problems = "; ".join(_say(p) for p in e.errors())
        raise errors.InvalidRequest(problems, param=str(e.errors()[0]["loc"][0])) from e


def _say(problem: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    flag = "--" + name.replace("_", "-")
    return f"{flag} (ANTIPHON_{name.upper()}): {problem['msg']}, got {problem['input']!r}"
