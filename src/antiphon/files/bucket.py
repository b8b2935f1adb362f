"""A bucket, or a part of one: whole objects under keys. Everything that obstore opens by an address is one."""

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

#: Seconds for a connection, for a small object, and for a long one as a whole.
CONNECT, QUICK, LONG = 3, 10, 6 * 3600
#: Bytes of an object that are handed on at a time, at least.
PIECE = 256 * 1024
#: Objects that are removed by one request.
BATCH = 500
#: Seconds after which a refused client may ask again.
RETRY = 5.0
#: What is written at the start, to learn whether anything can be.
PROBE = "antiphon"


@dataclass(frozen=True, slots=True)
class Found:
    key: str
    #: Bytes.
    size: int
    #: Seconds since the epoch, by the storage's clock.
    changed: float


class Bucket:
    """Used in one event loop. Keys are our own names, `a/b/c`.

    Every method can raise `StorageDown`, with the reason, after obstore's own tries.
    """

    def __init__(self, url: str, *, endpoint: str | None = None, public: str | None = None) -> None:
        """`endpoint`: address of a storage that is not the cloud's own; `public`: the same as clients reach it, for
        `sign`. Credentials come from where the cloud's own tools have them: `AWS_ACCESS_KEY_ID`, a role, ….

        Raises `InvalidRequest` if obstore is not installed or the address is none."""
        self.url = url
        self._quick = _open(url, endpoint, QUICK)
        self._long = _open(url, endpoint, LONG)
        self._signer = _open(url, public, QUICK) if public else self._quick
        self._typed = not url.startswith("file:")
        #: Operations by name and outcome: ok, missing, failed.
        self.counts: Counter[tuple[str, str]] = Counter()
        #: What the last operation failed with; None if it did not.
        self.trouble: str | None = None

    @property
    def signs(self) -> bool:
        """Whether clients can be sent to the storage itself."""
        return self._typed

    async def check(self) -> None:
        """Writes a small object. Raises `InvalidRequest` if that is not allowed or there is no such bucket."""
        import obstore
        from obstore import exceptions as failures

        try:
            await obstore.put_async(self._quick, PROBE, b"")
        except FileNotFoundError as e:
            raise errors.InvalidRequest(
                f"--objects {self.url} cannot be written: there is no such bucket; make it, or correct its name",
                param="objects",
            ) from e
        except (PermissionError, failures.UnauthenticatedError, failures.PermissionDeniedError) as e:
            raise errors.InvalidRequest(f"--objects {self.url} cannot be written: {_line(e)}", param="objects") from e
        except Exception as e:
            # It may come later; until then everything that needs it waits.
            self._failed("put", e)
            log.error("the object storage does not answer; what needs it waits", url=self.url, error=_line(e))

    # One object

    async def put(self, key: str, data: bytes | Path, media_type: str | None = None) -> None:
        """Keeps a whole object, or none. Raises `FileNotFoundError` for a file that is not here: no fault of the
        storage's."""
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

    async def open(self, key: str, first: int = 0, behind: int | None = None) -> AsyncGenerator[bytes] | None:
        """The object's bytes from `first` until before `behind`, as they come; None if there is none."""
        import obstore

        options = {"range": (first, behind)} if behind is not None else {"range": {"offset": first}} if first else {}
        with self._counted("get") as found:
            found.append(await obstore.get_async(self._long, key, options=options))
        return self._pieces(found[0]) if found else None

    async def fetch(self, key: str, path: Path) -> bool:
        """Brings an object into a file; False if there is none. A file that is there is overwritten."""
        pieces = await self.open(key)
        if pieces is None:
            return False
        async with contextlib.aclosing(pieces):
            with path.open("wb") as file:
                async for piece in pieces:
                    file.write(piece)
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        """What is not there is gone already."""
        import obstore

        for at in range(0, len(keys), BATCH):
            with self._counted("delete"):
                await obstore.delete_async(self._quick, list(keys[at : at + BATCH]))

    # All of them

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        """The objects below `prefix`, in no order."""
        import obstore

        try:
            async for batch in obstore.list(self._long, prefix=prefix):
                for each in batch:
                    yield Found(each["path"], each["size"], each["last_modified"].timestamp())
        except Exception as e:
            raise self._failed("list", e) from e
        self._went("list")

    async def sign(self, key: str, seconds: float) -> str:
        """An address from which anybody may GET the object for that long."""
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
        """`missing`: passes over an object that is not there; the list that it gives stays empty then."""
        found: builtins.list[Any] = []
        try:
            yield found
        except Exception as e:
            if not (missing and isinstance(e, FileNotFoundError)):
                raise self._failed(operation, e) from e
            self._went(operation, "missing")
        else:
            self._went(operation)

    def _went(self, operation: str, outcome: str = "ok") -> None:
        self.counts[operation, outcome] += 1
        if self.trouble is not None:
            log.info("the object storage answers again", url=self.url)
        self.trouble = None

    def _failed(self, operation: str, error: Exception) -> errors.StorageDown:
        self.counts[operation, "failed"] += 1
        words = _line(error)
        if self.trouble is None:
            log.warning("the object storage failed", url=self.url, operation=operation, error=words)
        self.trouble = words
        return errors.StorageDown(f"The object storage failed: {words}", retry_after=RETRY)


def _open(url: str, endpoint: str | None, timeout: int) -> Any:
    try:
        from obstore.store import from_url
    except ModuleNotFoundError as e:
        raise errors.InvalidRequest("--objects needs obstore: pip install 'antiphon[s3]'", param="objects") from e
    if url.startswith("file:"):
        return from_url(url, mkdir=True)
    client = {
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
        "connect_timeout": f"{CONNECT}s",
        "timeout": f"{timeout}s",
    }
    retries: dict[str, Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=QUICK)}
    config: dict[str, Any] = {} if endpoint is None else {"endpoint": endpoint}
    try:
        return from_url(url, client_options=client, retry_config=retries, **config)
    except Exception as e:
        raise errors.InvalidRequest(f"--objects {url} cannot be opened: {_line(e)}", param="objects") from e


def _check_there(data: bytes | Path) -> None:
    if isinstance(data, Path) and not data.is_file():
        raise FileNotFoundError(f"there is no file {data.name} to keep")


def _line(error: Exception) -> str:
    """An error of obstore's in one line, without its insides, and without what may be a secret in an address."""
    words = str(error).partition("\n")[0].partition("?")[0].removesuffix(": <").strip()
    return (words or type(error).__name__)[:300]
