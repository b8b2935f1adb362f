"""A PostgreSQL server of the tests' own: in a folder of theirs, on a free port, gone with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests import ports

#: How it runs for measurements: as it is installed.
DURABLE = "-c max_connections=200"
#: Ends it as a crash does.
CRASH = signal.SIGQUIT
#: What makes it quick: nobody pulls the plug of this machine, so what the system has is as good as on disk.
FAST = "-c fsync=off -c full_page_writes=off -c max_connections=200"


def binaries() -> Path:
    """Where Debian's package keeps `initdb` and `postgres`; the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise FileNotFoundError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return Path(on_path).resolve().parent


class Postgres:
    """One cluster of databases. It refuses to run as root, so as root it runs as `postgres`."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder, self._how = folder / "pg", DURABLE if durable else FAST
        self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        self.folder.mkdir(parents=True)
        if self._user:
            for path in (folder, *folder.parents):
                if path.owner() == "root" and path.is_relative_to("/tmp"):
                    path.chmod(path.stat().st_mode | 0o011)
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "antiphon", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.port = ports.steady()
        self._server: subprocess.Popen[bytes] | None = None
        self._made = 0

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run([*self._user, binaries() / name, *arguments], check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        """Returns once it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} {self._how}"
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*self._user, binaries() / "postgres", "-D", str(self.folder / "data"), *options.split()],
                stdout=log,
                stderr=log,
                cwd="/",
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url("postgres")):
                return
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise AssertionError((self.folder / "log").read_text("utf-8", "replace")[-2000:])
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT cuts all connections; SIGQUIT ends as a crash does."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(60)
            self._server = None

    def url(self, database: str) -> str:
        return f"postgresql://antiphon@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"t{self._made}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return self.url(name)

    def cut(self, database_url: str) -> int:
        """Ends all connections to a database; how many there were."""
        name = database_url.rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            row = ended.fetchone()
            return int(row[0]) if row else 0


@contextlib.contextmanager
def running(folder: Path, *, durable: bool = False) -> Iterator[Postgres]:
    server = Postgres(folder, durable=durable)
    server.start()
    try:
        yield server
    finally:
        server.stop()
