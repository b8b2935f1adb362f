"""Settings: every option of the server, declared once for the file, the environment, the flags and --help."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from antiphon.domain import errors
from antiphon.settings import values

MIB = 1024 * 1024
GIB = 1024 * MIB
T = TypeVar("T")


def option(default: T, meaning: str, **bounds: float) -> T:
    """A setting, with what `--help` says about it and the bounds of its value, as pydantic names them."""
    return cast(T, Field(default, description=meaning, **bounds))  # type: ignore[call-overload]


class Settings(BaseSettings):
    """Options, strongest first: flags, `ANTIPHON_*` variables, the file given by --config, these defaults."""

    model_config = SettingsConfigDict(env_prefix="ANTIPHON_", extra="forbid", frozen=True, protected_namespaces=())

    # Where it listens
    host: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(7860, "Port to listen on; 0 takes a free one.", ge=0, le=65535)
    insecure: bool = option(False, "Allow an address that others can reach while there are no keys.")

    allowed_hosts: values.Names = option(
        (), "Names that the server is called by, besides localhost and addresses; repeat for several."
    )
    allowed_origins: values.Names = option(
        (), "Origins of other pages that may use it, such as https://chat.example.org; repeat for several."
    )
    trusted_proxies: values.Networks = option(
        (), "Networks whose X-Forwarded-For is believed, such as 10.0.0.0/8; repeat for several."
    )
    rate_limit: int = option(0, "Requests per minute of one key, or address; 0: no bound.", ge=0)

    # Where it keeps things
    data_dir: Path = option(Path("antiphon-data"), "Database, cache, output, voices and models live here.")
    new_database: bool = option(
        False, "Start with an empty database although DATA_DIR was used before: without its jobs and API keys."
    )
    models_dir: Path | None = option(None, "Model files, if not in DATA_DIR/cache_hub/models.")

    # Which other servers it works with
    store: values.Store = option(
        "sqlite",
        "Where jobs are: sqlite in DATA_DIR, or postgresql://USER:PASSWORD@HOST/NAME, which several servers may share.",
    )
    server_name: str | None = option(
        None, "What this server is called in a shared store; one of its own.", min_length=1, max_length=60
    )
    lease: float = option(
        10.0, "Seconds without a sign of life after which other servers take a server's jobs over.", ge=1
    )

    objects: values.Objects | None = option(
        None,
        "Storage that servers share for finished files, recordings and segments: s3://BUCKET/PREFIX, gs://…, az://…, "
        "or file:///FOLDER; credentials as the cloud's tools have them, such as AWS_ACCESS_KEY_ID.",
    )
    objects_endpoint: values.Address | None = option(
        None, "Address of an S3 storage that is not Amazon's, such as http://storage:9000."
    )
    objects_public: values.Address | None = option(
        None, "The same as clients reach it, for signed addresses; if it is another."
    )
    objects_reads: Literal["proxied", "signed"] = option(
        "proxied", "Finished files: proxied, through the server, or signed, by an address of the storage's own."
    )
    objects_days: float = option(
        30.0, "Days that segments are kept in the shared storage, so that no server computes them twice.", gt=0
    )

    executor: Literal["local", "ray"] = option(
        "local", "Where models run: local, on this machine, or ray, on the nodes of a Ray cluster."
    )
    ray_address: values.RayAddress | None = option(
        None, "HOST:PORT of the cluster's head; none: the cluster this machine belongs to."
    )
    ray_cpus: values.Shares = option(
        (), "NUMBER or MODEL=NUMBER: CPUs of a node that one worker takes; 1 if nothing is said."
    )
    ray_gpus: values.Shares = option(
        (), "NUMBER or MODEL=NUMBER: GPUs one worker takes, 0.5 for two on one; 1 for models that use one."
    )
    ray_models_dir: Path | None = option(None, "Where models are on the nodes, if not as here.")
    ray_folder: Path | None = option(
        None, "Folder on each node for the recordings its work needs, if not DATA_DIR/node."
    )
    ray_env: values.Names = option(
        (), "NAME of a variable of this environment that workers on the nodes get; repeat for several."
    )

    # What it runs
    model: values.Names = option(("auto",), "Model to serve; repeat for several. auto: the best that can run here.")
    workers: values.Workers = option(
        "auto",
        "Worker processes per model: a number, auto, or with --executor ray MIN-MAX, as many as the queue is worth.",
    )
    scale_seconds: float = option(
        20.0, "With --workers MIN-MAX: predicted seconds of queued work that one worker is worth.", gt=0
    )
    scale_down: float = option(
        120.0, "With it: seconds for which fewer workers must have been enough before one goes.", ge=0
    )
    device: Literal["auto", "cpu"] = option("auto", "auto uses the GPUs that are there; cpu none.")
    memory_budget: int = option(
        0, "Bytes that all models may take; beyond it they are loaded on demand. 0: no bound.", ge=0
    )
    keep_alive: values.Seconds = option(
        (), "SECONDS or MODEL=SECONDS of idleness after which a model leaves the memory."
    )
    model_option: values.ModelOptions = option(
        (), "MODEL:NAME=VALUE, an option of that model's engine; VALUE is JSON, or text. Repeat for several."
    )
    download: bool = option(True, "Fetch the recommended model in the background when it is missing.")
    hub: Literal["hub", "modelscope"] = option(
        "hub", "Who is asked first for model files: hub (Hugging Face or HF_ENDPOINT), or modelscope."
    )
    offline: bool = option(False, "Never use the network.")

    # How it shares
    weight_vip: float = option(4.0, "Share of a vip flow against a normal one.", gt=0)
    weight_bulk: float = option(0.25, "Share of a bulk flow against a normal one.", gt=0)
    ageing: float = option(30.0, "Seconds after which waiting weighs as much as being short.", gt=0)

    # What it accepts. Requests that somebody waits for and durable jobs are counted apart: each bound holds for either.
    max_client_seconds: float = option(
        3600.0,
        "Predicted seconds of work one client may have queued, in requests that it waits for and again in durable "
        "jobs; one of either kind may be longer by itself, and does not count.",
        gt=0,
    )
    max_queue_seconds: float = option(
        21600.0,
        "Predicted seconds of work queued overall, in requests that somebody waits for and again in durable jobs.",
        gt=0,
    )
    max_client_bytes: int = option(64 * MIB, "Bytes of text one client may have queued, of either kind.", gt=0)
    max_queue_bytes: int = option(512 * MIB, "Bytes of text queued overall, of either kind.", gt=0)
    max_body: int = option(16 * MIB, "Bytes of one request body.", gt=0)

    stall_seconds: float = option(
        30.0, "Seconds after which a client is cut off that takes nothing of its answer.", gt=0
    )
    head_seconds: float = option(
        10.0, "Seconds within which the head of a request must come, from its first byte or the connection.", gt=0
    )
    body_seconds: float = option(
        30.0, "Seconds after which a client is cut off that sends nothing more of a body or a message.", gt=0
    )
    max_connections: int = option(4096, "Connections open at a time.", ge=1)
    max_address_connections: int = option(
        1024, "Connections of one address open at a time; requests, for a client behind a trusted proxy.", ge=1
    )
    max_streams: int = option(
        400, "Streams of one key, or address, open at a time: events, WebSockets, audio being sent.", ge=1
    )
    webhook_private: bool = option(False, "Let webhooks call addresses that are not public.")

    # How it treats workers
    heartbeat_timeout: float = option(10.0, "Seconds without a sign of life after which a worker is killed.", gt=0)
    unit_timeout: float = option(300.0, "Seconds one unit may take before its worker is killed.", gt=0)
    cancel_grace: float = option(2.0, "Seconds a worker has to drop a cancelled unit before it is killed.", ge=0)
    recycle_units: int = option(0, "Units after which a worker is replaced; 0: never for that reason.", ge=0)
    recycle_growth: int = option(2 * GIB, "Bytes a worker may grow over its size when ready; 0: no bound.", ge=0)
    recycle_leak: int = option(
        256 * MIB, "Bytes of growth, unit after unit, that are taken for a leak; 0: no bound.", ge=0
    )
    drain_seconds: float = option(30.0, "Seconds running work gets to finish after SIGTERM.", ge=0)

    # How much it keeps
    cache_bytes: int = option(10 * GIB, "Bytes of finished audio kept on disk so that nothing is made twice.", ge=0)
    cache_sharing: Literal["owners", "all"] = option(
        "owners", "Where there are API keys: owners, each key has a cache of its own, or all, keys share one."
    )
    cache_memory: int = option(64 * MIB, "Bytes of them kept in memory.", ge=0)
    output_bytes: int = option(
        10 * GIB, "Bytes of finished files kept in the output folder; the oldest go first.", ge=0
    )
    voices_bytes: int = option(2 * GIB, "Bytes of recordings kept as voices; no new ones are taken at the bound.", ge=0)
    uploads_bytes: int = option(
        8 * GIB, "Bytes of recordings kept for transcription; those that no job needs go first.", ge=0
    )
    min_free_bytes: int = option(
        512 * MIB, "Bytes free on the disk under which new jobs are refused; 0: no bound.", ge=0
    )
    keep_days: float = option(7.0, "Days that finished jobs and their files are kept.", gt=0)

    # What it tells
    target_wait: float = option(
        2.0, "Seconds of waiting that 95 % should not exceed: what the capacity advice aims at.", gt=0
    )
    otlp_endpoint: str | None = option(
        None, "Send traces to this OpenTelemetry collector (OTLP over HTTP), such as http://localhost:4318."
    )
    log_format: Literal["auto", "console", "json"] = option("auto", "auto: console in a terminal, else json.")
    log_level: Literal["debug", "info", "warning", "error"] = option("info", "Least level that is logged.")
    log_text: int = option(30, "Characters of a request's text in the log; 0 turns it off.", ge=0)

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
        return (InitSettingsSource(settings_cls, flags), env_settings, InitSettingsSource(settings_cls, file))

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

    @property
    def workers_span(self) -> tuple[int, int] | None:
        """The fewest and the most workers of a model; None if their number does not depend on the queue."""
        return values.span(self.workers) if isinstance(self.workers, str) else None

    def keep_alive_by_name(self) -> dict[str, float]:
        """Seconds by model; `*` stands for every other model."""
        return values.by_model(self.keep_alive)

    def options_by_model(self) -> dict[str, dict[str, Any]]:
        """The options of each model's engine by name."""
        return values.options_by_model(self.model_option)

    def weights(self) -> dict[str, float]:
        return {"vip": self.weight_vip, "normal": 1.0, "bulk": self.weight_bulk}


def load(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings of file, environment and flags. Raises `InvalidRequest`, which names option and value."""
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
    # Without credentials of a database or a bucket: the message may be logged.
    shown = re.sub(r"//[^/@]*@", "//…@", repr(problem["input"]))
    return f"{flag} (ANTIPHON_{name.upper()}): {problem['msg']}, got {shown}"
