"""Repository listings: asks a hub for the files of a repository, with sizes and hashes.

Sources of the protocols: the Hub API of Hugging Face (`/api/models/{repo}/revision`, `/tree`) and ModelScope's
(`/api/v1/models/{repo}/repo/files`). A hub lists large files with their SHA-256, and small ones only with git's hash
(SHA-1 of `blob`, length and bytes): small files are read here to learn their SHA-256.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from antiphon.catalog.manifest import LARGEST, Unsafe, is_sha256, safe
from antiphon.catalog.sources import Endpoints, FileSpec, Hub, ModelScope, Repo, SourceFailed, Unreachable, refusal

#: The most bytes of a listing, bytes of a small file, and pages of a listing.
LISTING, SMALL, PAGES = 16 * 1024 * 1024, 32 * 1024 * 1024, 50


@dataclass(frozen=True, slots=True)
class Listed:
    """One file as a hub lists it."""

    path: str
    size: int
    #: As listed, or computed from the bytes.
    sha256: str


async def files_of(
    client: httpx.AsyncClient, repos: Iterable[Repo], endpoints: Endpoints, stall: float
) -> tuple[FileSpec, ...]:
    """The wanted files of the repositories. Each repository is taken from the first hub that lists all of them.

    Raises `Unreachable` when no hub could be reached, else `SourceFailed` with each hub's reason."""
    found: list[FileSpec] = []
    for repo in repos:
        found += await _one(client, repo, endpoints, stall)
    return tuple(found)


async def _one(client: httpx.AsyncClient, repo: Repo, endpoints: Endpoints, stall: float) -> list[FileSpec]:
    reasons: list[tuple[str, SourceFailed]] = []
    for host in endpoints.in_order():
        scope = host == endpoints.modelscope and host not in endpoints.hubs
        try:
            async with asyncio.timeout(stall * 4):
                revision, listed = await (_modelscope if scope else _hub)(client, host, repo)
            return _wanted(repo, revision, listed)
        except TimeoutError:
            reasons.append((host, SourceFailed(f"no listing came within {stall * 4:g} s")))
        except SourceFailed as e:
            reasons.append((host, e))
        except (Unsafe, ValueError, TypeError, KeyError) as e:
            reasons.append((host, SourceFailed(f"its listing cannot be used ({e})")))
    lines = "".join(f"\n  {urlsplit(host).netloc}: {reason}" for host, reason in reasons)
    kind = Unreachable if all(isinstance(reason, Unreachable) for _, reason in reasons) else SourceFailed
    raise kind(f"no hub lists {repo.hub}{lines}")


def _wanted(repo: Repo, revision: str | None, listed: list[Listed]) -> list[FileSpec]:
    """The files of a listing that `repo.take` matches. `revision`: the hub's commit; None for ModelScope."""
    found = []
    for file in listed:
        if any(fnmatch.fnmatchcase(file.path, pattern) for pattern in repo.take):
            at = revision or repo.revision
            sources = (Hub(repo.hub, file.path, at), ModelScope(repo.modelscope or repo.hub, file.path))
            size, md5 = repo.known.get(file.path, (file.size, ""))
            if size != file.size:
                raise SourceFailed(f"lists {file.path} with {file.size} bytes, and it has {size}")
            found.append(FileSpec(repo.place(safe(file.path)), file.size, file.sha256, sources, md5))
    there = {file.name for file in found}
    if lacking := [name for name in repo.names() if name not in there]:
        raise SourceFailed(f"has no {', '.join(lacking)}")
    return found


async def _hub(client: httpx.AsyncClient, host: str, repo: Repo) -> tuple[str | None, list[Listed]]:
    at = await _json(client, f"{host}/api/models/{repo.hub}/revision/{repo.revision}")
    commit = str(at["sha"])
    if not commit.isalnum():
        raise Unsafe(f"names the commit {commit[:50]!r}")
    entries: list[Any] = []
    below = f"/{quote(repo.below)}" if repo.below else ""
    url: str | None = f"{host}/api/models/{repo.hub}/tree/{commit}{below}?recursive=true"
    for _ in range(PAGES):
        if url is None:
            break
        answer = await _get(client, url, LISTING)
        entries += answer.json()
        following = answer.links.get("next", {}).get("url")
        url = following if following is not None and following.startswith(f"{host}/") else None
    listed = []
    for entry in entries:
        wanted = any(fnmatch.fnmatchcase(str(entry["path"]), pattern) for pattern in repo.take)
        if entry["type"] == "file" and wanted:
            listed.append(await _file(client, f"{host}/{repo.hub}/resolve/{commit}", entry))
    return commit, listed


async def _file(client: httpx.AsyncClient, below: str, entry: Any) -> Listed:
    path, size = safe(str(entry["path"])), _size(entry["size"])
    lfs = entry.get("lfs")
    if lfs is not None:
        if not is_sha256(lfs["oid"]):
            raise Unsafe(f"has {lfs['oid']!r} for a SHA-256")
        return Listed(path, _size(lfs["size"]), lfs["oid"])
    data = (await _get(client, f"{below}/{quote(path)}", SMALL)).content
    # Git's hash of the bytes. It only detects damage; the TLS connection authenticates the sender.
    digest = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if len(data) != size or digest != entry["oid"]:
        raise SourceFailed(f"sent wrong bytes for {path}")
    return Listed(path, size, hashlib.sha256(data).hexdigest())


async def _modelscope(client: httpx.AsyncClient, host: str, repo: Repo) -> tuple[str | None, list[Listed]]:
    name = repo.modelscope or repo.hub
    below = f"&Root={quote(repo.below)}" if repo.below else ""
    answer = await _json(client, f"{host}/api/v1/models/{name}/repo/files?Revision=master&Recursive=true{below}")
    listed = []
    for entry in answer["Data"]["Files"]:
        if entry.get("Type") == "tree":
            continue
        if not is_sha256(entry["Sha256"]):
            raise Unsafe(f"has {entry['Sha256']!r} for a SHA-256")
        listed.append(Listed(str(entry["Path"]), _size(entry["Size"]), entry["Sha256"]))
    return None, listed


def _size(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < LARGEST:
        raise Unsafe(f"says that a file has {value!r} bytes")
    return value


async def _json(client: httpx.AsyncClient, url: str) -> Any:
    return (await _get(client, url, LISTING)).json()


async def _get(client: httpx.AsyncClient, url: str, most: int) -> httpx.Response:
    """A complete answer of at most `most` bytes. Raises `SourceFailed`, `Unreachable`."""
    try:
        async with client.stream("GET", url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise SourceFailed(refusal(answer.status_code, answer.reason_phrase))
            data = bytearray()
            async for piece in answer.aiter_bytes():
                data += piece
                if len(data) > most:
                    raise SourceFailed(f"sent more than {most} bytes for {urlsplit(url).path}")
            length = answer.headers.get("content-length")
            if length is not None and "content-encoding" not in answer.headers and int(length) != len(data):
                raise SourceFailed("the answer was cut short")
            links = [("link", answer.headers["link"])] if "link" in answer.headers else []
            return httpx.Response(200, headers=links, content=bytes(data), request=answer.request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as e:
        raise Unreachable(f"no connection ({' '.join(str(e).split())[:120] or type(e).__name__})") from e
    except httpx.TimeoutException as e:
        raise SourceFailed("it does not answer") from e
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise SourceFailed(f"the connection broke ({' '.join(str(e).split())[:120] or type(e).__name__})") from e
