"""Bucket: whole objects under keys, in any storage that obstore opens by its address."""

from __future__ import annotations

import builtins
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from antiphon.domain import errors

log = structlog.get_logger("antiphon.files")

#: Seconds for a connection, for a small object, and for a whole large object.
CONNECT, QUICK, LONG = 3, 10, 6 * 3600
#: Least bytes of an object that are passed on at a time.
PIECE = 256 * 1024
#: Objects that one request removes.
BATCH = 500
#: Seconds after which a refused client may ask again.
RETRY = 5.0
#: Key of the object that `check` writes, to learn whether the bucket can be written.
PROBE = "antiphon"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    #: Bytes.
    size: int
    #: Seconds since the epoch, by the storage's clock.
    changed: float


class Bucket:
    """A bucket, or the part of it below a path. Used in one event loop. The server makes the keys, such as `a/b/c`.
    Every method can raise `StorageDown` with the reason, after the retries of obstore."""

    def __init__(self, url: str, *, endpoint: str | None = None, public: str | None = None) -> None:
        """`endpoint`: address of a storage other than the cloud provider's; `public`: its address for clients, which
        `sign` uses. Credentials come from where the provider's tools find them: `AWS_ACCESS_KEY_ID`, a role, …. Raises
        `InvalidRequest` if obstore is not installed or the address is invalid."""
        self.url = url
        self._quick = _open(url, endpoint, QUICK)
        self._long = _open(url, endpoint, LONG)
        self._signer = _open(url, public, QUICK) if public else self._quick
        self._typed = not url.startswith("file:")
        #: Operations by name and outcome: ok, missing, failed.
        self.counts: Counter[tuple[str, str]] = Counter()
        #: Why the last operation failed; None if it succeeded.
        self.last_error: str | None = None

    @property
    def signs(self) -> bool:
        """Whether the storage can give clients signed addresses."""
        return self._typed

    async def check(self) -> None:
        """Writes a small object. Raises `InvalidRequest` if the bucket does not exist or may not be written."""
        import obstore
        from obstore import exceptions as failures

        try:
            await obstore.put_async(self._quick, PROBE, b"")
        except FileNotFoundError as e:
            why = f"--objects {self.url} cannot be written: there is no such bucket; make it, or correct its name"
            raise errors.InvalidRequest(why, param="objects") from e
        except (PermissionError, failures.UnauthenticatedError, failures.PermissionDeniedError) as e:
            why = f"--objects {self.url} cannot be written: {_one_line(e)}"
            raise errors.InvalidRequest(why, param="objects") from e
        except Exception as e:
            # The storage may answer later; what needs it waits until then.
            self._failed("put", e)
            log.error("the object storage does not answer; what needs it waits", url=self.url, error=_one_line(e))

    # One object

    async def put(self, key: str, data: bytes | Path, media_type: str | None = None) -> None:
        """Stores a whole object, or nothing. Raises `FileNotFoundError` for a local file that does not exist, which is
        not a failure of the storage."""
        import obstore

        _check_there(data)
        typed = {"attributes": {"Content-Type": media_type}} if media_type and self._typed else {}
        with self._counted("put", missing=False):
            await obstore.put_async(self._long if isinstance(data, Path) else self._quick, key, data, **typed)

    async def get(self, key: str) -> bytes | None:
        """A small object; None if there is none."""
        import obstore

        with self._counted("get") as found:
            answer = await obstore.get_async(self._quick, key)
            found.append(bytes(await answer.bytes_async()))
        return found[0] if found else None

    async def has(self, key: str) -> bool:
        import obstore

        with self._counted("head") as found:
            found.append(await obstore.head_async(self._quick, key))
        return bool(found)

    async def open(self, key: str, first: int = 0, end: int | None = None) -> AsyncGenerator[bytes] | None:
        """The object's bytes from `first` up to and without `end`, as they arrive; None if there is no object."""
        import obstore

        options = {"range": (first, end)} if end is not None else {"range": {"offset": first}} if first else {}
        with self._counted("get") as found:
            found.append(await obstore.get_async(self._long, key, options=options))
        return self._pieces(found[0]) if found else None

    async def fetch(self, key: str, path: Path) -> bool:
        """Downloads an object to a file, which it overwrites; False if there is no object."""
        if (pieces := await self.open(key)) is None:
            return False
        async with contextlib.aclosing(pieces):
            with path.open("wb") as file:
                async for piece in pieces:
                    file.write(piece)
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        """Removes objects; a key without an object is passed over."""
        import obstore

        for at in range(0, len(keys), BATCH):
            with self._counted("delete"):
                await obstore.delete_async(self._quick, list(keys[at : at + BATCH]))

    # Many objects

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """The objects below `prefix`, in any order."""
        import obstore

        try:
            async for batch in obstore.list(self._long, prefix=prefix):
                for each in batch:
                    yield ObjectInfo(each["path"], each["size"], each["last_modified"].timestamp())
        except Exception as e:
            raise self._failed("list", e) from e
        self._succeeded("list")

    async def sign(self, key: str, seconds: float) -> str:
        """An address from which any client may GET the object for `seconds`."""
        import obstore

        with self._counted("sign", missing=False):
            signed = await obstore.sign_async(self._signer, "GET", key, timedelta(seconds=seconds))
        return str(signed)

    # Inside

    async def _pieces(self, answer: Any) -> AsyncGenerator[bytes]:
        try:
            async for piece in answer.stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except Exception as e:
            raise self._failed("get", e) from e

    @contextlib.contextmanager
    def _counted(self, operation: str, *, missing: bool = True) -> Iterator[builtins.list[Any]]:
        """Counts an operation, which appends its answer to the list. `missing`: an object that does not exist is no
        failure, and leaves the list empty."""
        found: builtins.list[Any] = []
        try:
            yield found
        except Exception as e:
            if not (missing and isinstance(e, FileNotFoundError)):
                raise self._failed(operation, e) from e
            self._succeeded(operation, "missing")
        else:
            self._succeeded(operation)

    def _succeeded(self, operation: str, outcome: str = "ok") -> None:
        self.counts[operation, outcome] += 1
        if self.last_error is not None:
            log.info("the object storage answers again", url=self.url)
        self.last_error = None

    def _failed(self, operation: str, error: Exception) -> errors.StorageDown:
        self.counts[operation, "failed"] += 1
        reason = _one_line(error)
        if self.last_error is None:
            log.warning("the object storage failed", url=self.url, operation=operation, error=reason)
        self.last_error = reason
        return errors.StorageDown(f"The object storage failed: {reason}", retry_after=RETRY)


def _open(url: str, endpoint: str | None, timeout: int) -> Any:
    try:
        from obstore.store import from_url
    except ModuleNotFoundError as e:
        raise errors.InvalidRequest("--objects needs obstore: pip install 'antiphon[s3]'", param="objects") from e
    if url.startswith("file:"):
        return from_url(url, mkdir=True)
    plain = endpoint is not None and endpoint.startswith("http://")
    client = {"allow_http": plain, "connect_timeout": f"{CONNECT}s", "timeout": f"{timeout}s"}
    retries: dict[str, Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=QUICK)}
    config: dict[str, Any] = {} if endpoint is None else {"endpoint": endpoint}
    try:
        return from_url(url, client_options=client, retry_config=retries, **config)
    except Exception as e:
        raise errors.InvalidRequest(f"--objects {url} cannot be opened: {_one_line(e)}", param="objects") from e


def _check_there(data: bytes | Path) -> None:
    if isinstance(data, Path) and not data.is_file():
        raise FileNotFoundError(f"there is no file {data.name} to store")


def _one_line(error: Exception) -> str:
    """An error of obstore in one line, without its details and without the query of an address, which may be secret."""
    words = str(error).partition("\n")[0].partition("?")[0].removesuffix(": <").strip()
    return (words or type(error).__name__)[:300]
