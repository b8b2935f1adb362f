"""What the commands say of the parts that several servers share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.postgres import Postgres
from tests.cluster.rays import Rays
from tests.cluster.storage import CREDENTIALS, Storage
from tests.conftest import command


def antiphon(*args: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return command(*args, cwd=cwd, env=os.environ | env)


def test_the_doctor_looks_at_what_is_shared(
    database: str, storage_server: Storage, nodes: Rays, tmp_path: Path
) -> None:
    shared = storage_server.environment(storage_server.bucket())
    env = shared | {"ANTIPHON_STORE": database, "ANTIPHON_EXECUTOR": "ray", "ANTIPHON_RAY_ADDRESS": nodes.address}
    said = antiphon("doctor", cwd=tmp_path, env=env).stdout
    assert "store: PostgreSQL answers; 0 jobs queued, 0 running" in said
    assert f"objects: {env['ANTIPHON_OBJECTS']} can be written" in said
    assert f"ray: a cluster's head answers at {nodes.address}" in said


def test_the_doctor_says_what_does_not_answer(database_server: Postgres, tmp_path: Path) -> None:
    env = CREDENTIALS | {
        "ANTIPHON_STORE": "postgresql://antiphon:secret@127.0.0.1:1/none",
        "ANTIPHON_OBJECTS": "s3://bucket/x",
        "ANTIPHON_OBJECTS_ENDPOINT": "http://127.0.0.1:1",
        "ANTIPHON_EXECUTOR": "ray",
        "ANTIPHON_RAY_ADDRESS": "127.0.0.1:1",
    }
    ran = antiphon("doctor", cwd=tmp_path, env=env)
    assert ran.returncode == 0, ran.stderr
    assert "store: " in ran.stdout
    assert "secret" not in ran.stdout + ran.stderr
    assert "objects: s3://bucket/x does not answer" in ran.stdout
    assert "ray: nobody answers at 127.0.0.1:1" in ran.stdout


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [("ray", ["--executor", "ray"], "antiphon[ray]"), ("obstore.store", ["--objects", "s3://b/x"], "antiphon[s3]")],
)
def test_without_the_extra_it_says_what_to_install(module: str, options: list[str], extra: str, tmp_path: Path) -> None:
    hidden = f"import sys; sys.modules[{module!r}] = None; from antiphon.cli.main import main; main()"
    line = [sys.executable, "-c", hidden, "serve", "--data-dir", str(tmp_path), *options]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode != 0
    assert extra in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_is_in_postgresql_is_not_backed_up_here(database: str, tmp_path: Path) -> None:
    ran = antiphon("backup", "copy", cwd=tmp_path, env={"ANTIPHON_STORE": database})
    assert ran.returncode != 0
    assert "pg_dump" in ran.stderr
    assert not (tmp_path / "copy").exists()


def test_a_start_says_that_the_database_does_not_answer(tmp_path: Path) -> None:
    url = "postgresql://antiphon:secret@127.0.0.1:1/none"
    ran = antiphon("serve", "--store", url, "--model", "tone", "--port", "0", cwd=tmp_path, env={})
    assert ran.returncode == 19, ran.stderr
    assert "antiphon: the database cannot be reached" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "secret" not in ran.stderr
