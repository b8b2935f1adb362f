"""Kokoro on a GPU: chosen where ONNX Runtime was made for one and one is there, and told; never in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from antiphon.catalog.spec import ModelSpec
from antiphon.engines import onnx_session
from antiphon.engines.kokoro import derived
from antiphon.engines.onnx_session import CPU, CUDA, Interruption, NoGpu, Session, sees_gpu

SPEC = ModelSpec("small", "small", "speech", "Small", "", (), "", gpu_footprint=9, gpu_distribution="onnxruntime-gpu")


@pytest.fixture
def made_for_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """ONNX Runtime for GPUs, and a driver's file that is there."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnx_session, "_DRIVERS", (tmp_path / "driver",))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "driver").touch()
    return tmp_path / "driver"


def test_a_gpu_is_seen_where_runtime_driver_and_place_are_there(made_for_gpus: Path) -> None:
    assert sees_gpu()


def test_without_a_driver_or_a_place_there_is_none(made_for_gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not sees_gpu(), "the server gave this worker no GPU"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert sees_gpu()
    made_for_gpus.unlink()
    assert not sees_gpu()


def test_the_runtime_that_is_installed_here_has_none() -> None:
    assert CUDA not in onnxruntime.get_available_providers()
    assert not sees_gpu()


def test_a_session_that_falls_back_to_the_processor_is_an_error(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    path = tmp_path / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    with pytest.warns(UserWarning, match=CUDA), pytest.raises(NoGpu, match="library of CUDA"):
        Session(path, 1, Interruption(), gpu=True)
    assert Session(path, 1, Interruption()).run(None, {"x": np.ones(1, np.float32)})[0] == 1.0


def test_a_model_has_no_place_on_a_gpu_without_its_package() -> None:
    assert SPEC.as_installed().gpu_footprint == 0
    assert ModelSpec("other", "other", "speech", "", "", (), "", gpu_footprint=9).as_installed().gpu_footprint == 9


def test_what_cannot_run_on_the_gpu_runs_on_the_processor_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        derived.FOR_GPUS: derived.Choice(None, "plain graph, half as quick: …", why="a library is missing"),
        derived.FOR_PROCESSORS: derived.Choice(Path("here"), "rewritten graph"),
    }
    monkeypatch.setattr(derived, "choose", lambda model, source, form=derived.FOR_PROCESSORS: said[form])
    chosen = derived.best(Path("model"), "source", gpu=True)
    assert (chosen.folder, chosen.says) == (Path("here"), "rewritten graph; not on the GPU: a library is missing")
    assert derived.best(Path("model"), "source", gpu=False) == said[derived.FOR_PROCESSORS]
    said[derived.FOR_GPUS] = derived.Choice(Path("there"), "on a GPU", derived.FOR_GPUS)
    chosen = derived.best(Path("model"), "source", gpu=True)
    assert chosen.folder == Path("there")
    assert chosen.name != said[derived.FOR_PROCESSORS].name, "their samples differ"
