"""Kokoro's rewritten graph: made once, checked, made again when damaged, and left alone where it cannot be had."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from antiphon.domain.unit import SpeechParams
from antiphon.engines.kokoro import Kokoro, derived, rewriting
from antiphon.engines.kokoro.audio import RATE
from antiphon.engines.kokoro.engine import MODEL, VOICES
from antiphon.engines.kokoro.network import Divided, Plain
from antiphon.engines.onnx_session import Interruption, Session
from tests import ear
from tests.e2e.test_kokoro import Wanted, seconds

pytest.importorskip("kokoro_onnx")
onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.models

TEXT = "When the train finally arrived, most of the passengers had already gone home."


@pytest.fixture(scope="module")
def whole(kokoro: Kokoro) -> bytes:
    """The text, spoken at once."""
    return b"".join(say(kokoro, TEXT))


@pytest.fixture(scope="module")
def parts(kokoro: Kokoro) -> list[bytes]:
    """The text, spoken in parts of which the first comes early."""
    return say(kokoro, TEXT, early=True)


@pytest.fixture
def folder(kokoro: Kokoro, tmp_path: Path) -> Path:
    """A folder of its own with the model's files and the two graphs."""
    models = ear.model("kokoro")
    for name in (MODEL, VOICES):
        (tmp_path / name).symlink_to(models / name)
    shutil.copytree(models / derived.FOLDER, tmp_path / derived.FOLDER)
    return tmp_path


@pytest.fixture(scope="module")
def source() -> str:
    return derived.digest(ear.model("kokoro") / MODEL)


def without_onnx(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Child processes find a package `onnx` that cannot be imported, as one that is not installed."""
    (folder / "hidden").mkdir()
    (folder / "hidden" / "onnx.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(folder / "hidden"))


def say(engine: Kokoro, text: str, language: str = "en", *, early: bool = False) -> list[bytes]:
    params = SpeechParams(text, "", language, early=early).as_params()
    return [chunk.payload for chunk in engine.run(params, Wanted())]


def test_the_rewritten_graph_runs_and_says_so(kokoro: Kokoro) -> None:
    can = kokoro.capabilities()
    assert can.early
    assert can.computation == "rewritten graph, 1 thread"
    note = json.loads((ear.model("kokoro") / derived.FOLDER / derived.NOTE).read_text())
    assert note["verdicts"][derived.runtime()] == ""


def test_graphs_that_are_whole_are_taken_as_they_are(
    folder: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_onnx(folder, monkeypatch)
    assert derived.choose(folder / MODEL, source) == derived.Choice(folder / derived.FOLDER, "rewritten graph")


def test_a_damaged_graph_is_made_again_to_the_byte(folder: Path, source: str) -> None:
    path = folder / derived.FOLDER / derived.DECODER
    good = derived.digest(path)
    with path.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    assert derived.choose(folder / MODEL, source).folder == folder / derived.FOLDER
    assert derived.digest(path) == good
    assert not list(folder.glob(f".{derived.FOLDER}-*")), "nothing is left of the work"


@pytest.mark.parametrize("how", ["damaged", "missing", "of another source", "no note"])
def test_without_onnx_the_graph_as_it_came_runs(
    folder: Path, source: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    made = folder / derived.FOLDER
    if how == "damaged":
        (made / derived.ENCODER).write_bytes(b"damage")
    elif how == "missing":
        shutil.rmtree(made)
    elif how == "no note":
        (made / derived.NOTE).write_text("{")
    without_onnx(folder, monkeypatch)
    choice = derived.choose(folder / MODEL, "0" * 64 if how == "of another source" else source)
    assert choice.folder is None
    assert "onnx is missing; fix: pip install" in choice.says


def test_a_folder_that_cannot_be_written_costs_only_time(folder: Path, source: str) -> None:
    (folder / f".{derived.FOLDER}.lock").mkdir()
    choice = derived.choose(folder / MODEL, source)
    assert choice.folder is None
    assert "cannot be made here" in choice.says


def test_what_this_processor_computes_wrongly_is_refused_on_it_alone(
    folder: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / derived.FOLDER / derived.NOTE
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"verdicts": {derived.runtime(): "it hums", "another processor": ""}}))
    without_onnx(folder, monkeypatch)
    assert "it hums" in derived.choose(folder / MODEL, source).says
    assert derived.state(folder / MODEL).endswith("it hums")
    assert (
        rewriting.known(path, {name: note[name] for name in ("format", "source", "files")})["another processor"] == ""
    )
    assert rewriting.known(path, {"format": 0}) == {}


def test_the_plain_graph_has_a_revision_of_its_own_and_speaks(
    kokoro: Kokoro, whole: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder / derived.FOLDER)
    without_onnx(folder, monkeypatch)
    plain = Kokoro({"dir": str(folder), "threads": 1})
    plain.load(lambda name, fraction=None: None)
    plain.warm()
    can = plain.capabilities()
    assert can.revision != kokoro.capabilities().revision
    assert not can.early
    assert can.computation.startswith("plain graph, half as quick: ")
    was = b"".join(say(plain, TEXT))
    assert seconds(whole) == pytest.approx(seconds(was), abs=0.06)
    assert level(whole) == pytest.approx(level(was), abs=0.5)


def level(audio: bytes) -> float:
    return float(10 * np.log10(np.mean(np.square(np.frombuffer(audio, "<i2").astype(float)))))


def test_the_first_second_is_there_before_the_rest(kokoro: Kokoro, parts: list[bytes], whole: bytes) -> None:
    assert len(parts) > 2
    assert seconds(parts[0]) < 1.3
    assert seconds(b"".join(parts)) == pytest.approx(seconds(whole), abs=0.06)
    assert level(b"".join(parts)) == pytest.approx(level(whole), abs=1.0)
    assert say(kokoro, TEXT, early=True) == parts, "the cache may keep it"
    # Nowhere is there a greater step between two samples than speech has.
    samples = np.frombuffer(b"".join(parts), "<i2").astype(int)
    steps = np.abs(np.diff(samples))
    joins = np.cumsum([len(part) // 2 for part in parts])[:-1]
    assert max(steps[join - 2 : join + 2].max() for join in joins) < np.percentile(steps, 99.5)


def test_parts_are_understood(kokoro: Kokoro, parts: list[bytes]) -> None:
    assert ear.wer(TEXT, ear.hear(b"".join(parts), RATE, "en")) <= 0.2
    chinese = "火车终于到站的时候，大部分乘客已经回家了。"
    assert ear.cer(chinese, ear.hear(b"".join(say(kokoro, chinese, "zh", early=True)), RATE, "zh")) <= 0.2


def test_a_gpu_that_cannot_be_used_is_told_and_not_remembered(folder: Path, source: str) -> None:
    """ONNX Runtime is not made for GPUs here, as where a library of CUDA is missing."""
    choice = derived.best(folder / MODEL, source, gpu=True)
    assert choice.folder == folder / derived.FOLDER
    assert choice.says.startswith("rewritten graph; not on the GPU: ")
    assert "its log says which library of CUDA is missing" in choice.says
    assert not (folder / derived.FOR_GPUS.folder).exists(), "it is tried again at the next start"


def test_graphs_that_another_machine_made_for_its_gpu_do_not_keep_kokoro_from_speaking(
    kokoro: Kokoro, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = derived.Choice(folder / derived.FOLDER, derived.FOR_GPUS.says, derived.FOR_GPUS)
    monkeypatch.setattr(derived, "best", lambda model, source, gpu: graphs)
    engine = Kokoro({"dir": str(folder), "threads": 1})
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        engine.load(lambda name, fraction=None: None)
    engine.warm()
    can = engine.capabilities()
    assert can.computation.startswith("rewritten graph; not on the GPU: ")
    assert can.revision == kokoro.capabilities().revision


def test_the_graph_for_gpus_sounds_the_same(tmp_path: Path) -> None:
    """It is computed on the processor here: what differs is that its convolutions are of floats."""
    from antiphon.engines.kokoro.dividing import rewrite

    models = ear.model("kokoro")
    encoder, decoder = rewrite(onnx.load(str(models / MODEL)), floats=True)
    assert not any(node.op_type == "MatMulIntegerToFloat" for node in decoder.graph.node)
    for name, graph in ((derived.ENCODER, encoder), (derived.DECODER, decoder)):
        onnx.save(graph, str(tmp_path / name))
    networks = (
        Plain(Session(models / MODEL, 1, Interruption())),
        Divided(*(Session(tmp_path / name, 1, Interruption()) for name in (derived.ENCODER, derived.DECODER))),
    )
    style = np.load(models / VOICES)["af_heart"]
    was, now = (network.whole(list(rewriting.PHRASE), style, 1.0) for network in networks)
    assert rewriting.difference(was, now) is None
