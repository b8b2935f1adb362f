"""Stores: the job store, the file store and the cache that the settings name, and what this server is called."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

from antiphon.cache import Cache, RemoteCache
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.files.bucket import Bucket
from antiphon.files.store import FileStore
from antiphon.settings import Settings
from antiphon.store import connect, integrity
from antiphon.store.base import JobStore
from antiphon.store.sqlite import SqliteStore


def job_store(
    settings: Settings, on_fatal: Callable[[BaseException], None] = lambda error: None, *, guest: bool = False
) -> JobStore:
    """The store, not yet open; a guest looks and changes but works on no job. Raises `InvalidRequest` if what it needs
    is not installed."""
    if settings.store == "sqlite":
        return SqliteStore(settings.database_path, on_fatal=on_fatal)
    try:
        from antiphon.store.postgres.store import PostgresStore
    except ModuleNotFoundError as e:
        why = f"--store {settings.store.partition(':')[0]} needs {e.name}: pip install 'antiphon[postgres]'"
        raise errors.InvalidRequest(why, param="store") from e
    name = "guest" if guest else server_name(settings)
    return PostgresStore(settings.store, name, lease=settings.lease, on_fatal=on_fatal, guest=guest)


def failure(settings: Settings, error: BaseException) -> BaseException:
    """What the operator is told about an error that ends the store."""
    if settings.store == "sqlite" and isinstance(error, connect.DAMAGE):
        return integrity.damaged(settings.database_path, str(error))
    return error


def file_store(settings: Settings, threads: Threads) -> FileStore:
    """Raises `InvalidRequest` if the storage that the settings name cannot be opened."""
    s = settings
    bucket = None if s.objects is None else Bucket(s.objects, endpoint=s.objects_endpoint, public=s.objects_public)
    return FileStore(s.output_path, threads, bucket, sign=s.objects_reads == "signed")


def cache(settings: Settings, bucket: Bucket | None) -> Cache:
    remote = None if bucket is None else RemoteCache(BucketCache(bucket))
    return Cache(settings.cache_path, settings.cache_bytes, settings.cache_memory, remote=remote)


class BucketCache:
    """The cache's second level in a bucket (see `cache.remote.Storage`)."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def get(self, key: str) -> bytes | None:
        return await self._bucket.get(_object(key))

    async def put(self, key: str, data: bytes) -> None:
        await self._bucket.put(_object(key), data)

    async def remove(self, key: str) -> None:
        await self._bucket.delete([_object(key)])


def _object(key: str) -> str:
    return f"cache/{key[:2]}/{key}"


def server_name(settings: Settings) -> str:
    """The same for the life of a data directory, so that a server that restarts finds its own work at once."""
    if settings.server_name is not None:
        return settings.server_name
    path = settings.data_dir / "server-name"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        name = f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
        path.write_text(name + "\n", "utf-8")
        return name
