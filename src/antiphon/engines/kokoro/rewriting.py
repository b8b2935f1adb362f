"""Rewriting: makes the two graphs of a model, checks them and publishes them, in a process of its own.

The check speaks a short phrase with both. What does not sound the same, or is slower, is refused on this processor,
which is written down beside the model.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.engines.kokoro import derived
from antiphon.engines.kokoro.network import Divided, Network, Plain
from antiphon.engines.onnx_session import Interruption, NoGpu, Session

#: "Hello, my friend. She says yes." in the model's numbers.
PHRASE = (
    50, 83, 54, 156, 31, 3, 16, 55, 25, 16, 48, 123, 156, 86, 56, 46, 4,
    16, 131, 51, 16, 61, 156, 86, 68, 16, 52, 156, 86, 61, 4,
)  # fmt: skip
VOICES, VOICE = "voices-v1.0.bin", "af_heart"
#: Decibels by which the loudness may differ, as a whole and in each band of frequencies.
LEVEL, BAND = 1.5, 3.0
BANDS = 6
#: Times the processor time of the graph as it came that the others may take.
SLOWEST = 1.05
ROUNDS = 2


def main(model: Path, source: str, form: derived.Form = derived.FOR_PROCESSORS) -> None:
    try:
        import onnx
    except ImportError:
        sys.exit(derived.MISSING)
    from antiphon.engines.kokoro.dividing import rewrite

    if form.gpu:
        _require_gpu()
    made = Path(tempfile.mkdtemp(prefix=f".{form.folder}-", dir=model.parent))
    try:
        encoder, decoder = rewrite(onnx.load(str(model)), floats=form.floats)
        onnx.save(encoder, str(made / derived.ENCODER))
        onnx.save(decoder, str(made / derived.DECODER))
        files = {name: derived.digest(made / name) for name in (derived.ENCODER, derived.DECODER)}
        note = {"format": derived.FORMAT, "source": source, "files": files}
        verdicts = known(model.parent / form.folder / derived.NOTE, note)
        verdicts[derived.runtime()] = check(model, made, gpu=form.gpu)
        note["verdicts"] = verdicts
        (made / derived.NOTE).write_text(json.dumps(note, indent=2), "utf-8")
        publish(made, model.parent / form.folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _require_gpu() -> None:
    """Ends the process where ONNX Runtime cannot use the GPU. That is no verdict on the graphs, and not kept: a library
    that is missing may be there at the next start."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "one node", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model.SerializeToString())
        try:
            Session(path, 1, Interruption(), gpu=True)
        except NoGpu as e:
            sys.exit(str(e))


def known(path: Path, note: Mapping[str, Any]) -> dict[str, str]:
    """What was said of the same graphs on other processors."""
    try:
        told = json.loads(path.read_text("utf-8"))
        return dict(told["verdicts"]) if all(told[name] == value for name, value in note.items()) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def check(model: Path, made: Path, *, gpu: bool = False) -> str:
    """Why the graphs must not be used here; "" if they may. On a GPU what counts is that it sounds the same."""
    import numpy as np

    style = np.load(model.parent / VOICES)[VOICE]
    interruption = Interruption()
    try:
        plain = Plain(Session(model, 1, interruption))
        encoder = Session(made / derived.ENCODER, 1, interruption)
        other = Divided(encoder, Session(made / derived.DECODER, 1, interruption, gpu=gpu))
        (was, before), (now, after) = (_speak(network, style) for network in (plain, other))
    except Exception as e:
        return f"the rewritten one does not run on this processor: {type(e).__name__}: {e}"[:300]
    if (different := difference(was, now)) is not None:
        return f"the rewritten one does not sound the same on this processor: {different}"
    if not gpu and after > SLOWEST * before:
        return f"the rewritten one is not quicker on this processor: {after:.2f} s in place of {before:.2f} s"
    return ""


def difference(was: Any, now: Any) -> str | None:
    """How two recordings of a phrase differ by more than they may; None if they do not."""
    import numpy as np

    if not np.isfinite(now).all():
        return "it gives numbers that are none"
    was, now = (_spoken(samples) for samples in (was, now))
    if abs(len(was) - len(now)) > 0.1 * len(was):
        return f"{len(now)} samples in place of {len(was)}"
    a, b = (np.abs(np.fft.rfft(samples)) ** 2 / len(samples) for samples in (was, now))
    if abs(level := _decibels(b.sum(), a.sum())) > LEVEL:
        return f"{level:+.1f} dB"
    for number in range(BANDS):
        parts = (each[len(each) * number // BANDS : len(each) * (number + 1) // BANDS].sum() for each in (b, a))
        if abs(band := _decibels(*parts)) > BAND:
            return f"{band:+.1f} dB above {number * 12 // BANDS} kHz"
    return None


def publish(made: Path, folder: Path) -> None:
    """Puts the folder in its place. A process that reads the old one keeps what it has read."""
    made.chmod(0o755)
    for path in made.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    made.replace(folder)


def _speak(network: Network, style: Any) -> tuple[Any, float]:
    """Samples of the phrase, and the least processor time that it took."""
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        samples = network.whole(list(PHRASE), style, 1.0)
        took.append(time.process_time() - began)
    return samples, min(took)


def _spoken(samples: Any) -> Any:
    """Without the silence around it, which one of the networks leaves out."""
    import numpy as np

    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max(initial=1e-9))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def _decibels(now: float, was: float) -> float:
    import math

    return 10 * math.log10(max(now, 1e-12) / max(was, 1e-12))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], derived.FORMS[sys.argv[3]])
