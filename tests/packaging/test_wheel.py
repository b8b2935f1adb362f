"""The wheel, alone in a fresh environment, serves and speaks.

The dependencies come from the environment of the tests by a .pth file; Antiphon itself is only there as the wheel.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import httpx
import pytest

from tests.conftest import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; make wheel installs it")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bin_of(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index",
        "--prefix", folder, "--ignore-installed", wheel, cwd=folder)  # fmt: skip
    # A path alone: the .pth files in there, such as that of an editable Antiphon, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_it_holds_what_it_needs(wheel: Path) -> None:
    import zipfile

    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "antiphon"
    wanted = {p.relative_to(package.parent).as_posix() for p in package.rglob("*") if p.is_file()}
    missing = {name for name in wanted if "__pycache__" not in name} - names
    assert not missing
    assert "antiphon/store/migrations/0001_jobs.sql" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_it_serves_and_speaks(bin_of: Path, tmp_path: Path) -> None:
    where = run(bin_of / "python", "-c", "import antiphon; print(antiphon.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(bin_of.parent)
    assert "antiphon" in run(bin_of / "antiphon", "--help", cwd=tmp_path)
    command = [bin_of / "antiphon", "serve", "--port", "0", "--model", "espeak", "--offline", "--drain-seconds", "1"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp_path)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert "listens on" in line, (tmp_path / "log").read_text()
        with httpx.Client(base_url=line.split()[-1], timeout=PATIENCE, trust_env=False) as client:
            wait_until(lambda: client.get("/health").json()["model_loaded"], "espeak ready")
            spoken = client.post("/v1/audio/speech", json={"input": "Alone and well.", "response_format": "wav"})
            assert (spoken.status_code, spoken.content[:4]) == (200, b"RIFF")
    finally:
        server.terminate()
        assert server.wait(timeout=20) == 0
        if server.stdout is not None:
            server.stdout.close()
