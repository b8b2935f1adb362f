"""A checkpoint for the session, and a server that speaks with it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.engines.indextts import torchaudio_stub
from tests.conftest import Server, launch

if TYPE_CHECKING:
    from tests.indextts.batch_models import Modules

os.environ.setdefault("OMP_NUM_THREADS", "1")
if importlib.util.find_spec("torch") is not None:
    torchaudio_stub.install()
pytest.importorskip("indextts25", reason="needs the extra [indextts25]; make test-indextts installs it")

MODEL = "indextts-2.5"
#: Without the grammars for numbers and dates, which take a minute each to build.
PLAIN = ("--model", MODEL, "--model-option", f"{MODEL}:normalise=[]", "--model-option", f"{MODEL}:threads=1")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with the checkpoint."""
    from tests.indextts import checkpoint

    folder = tmp_path_factory.mktemp("models")
    checkpoint.build(folder / MODEL)
    return folder


@pytest.fixture
def inference() -> Iterator[None]:
    """For the whole test: `pytestmark = pytest.mark.usefixtures("inference")`."""
    import torch

    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def tiny(models: Path) -> Modules:
    from tests.indextts import batch_models

    return batch_models.modules25(models / MODEL)


@pytest.fixture(scope="module")
def mid(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    from tests.indextts import batch_models

    return batch_models.mid25(tmp_path_factory.mktemp("mid") / MODEL)


@pytest.fixture(scope="module")
def bigvgan(models: Path) -> Any:
    """The checkpoint's vocoder."""
    from indextts25.s2mel.modules.bigvgan.bigvgan import BigVGAN

    return BigVGAN.from_dir(str(models / MODEL / "hf_cache" / "bigvgan"), "cpu").eval()


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("indextts")
    made = launch(data, *PLAIN, "--models-dir", str(models), "--workers", "2", ready=False)
    try:
        made.wait_ready(MODEL, patience=240)
        yield made
    finally:
        made.stop()
