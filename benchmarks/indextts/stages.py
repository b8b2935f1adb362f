"""One stage after the other, the package beside the batched runtime, in the same process and on the same inputs.

On a CPU, seconds are those of the thread, so that other work on the machine does not count. On a GPU they are wall
time, between two moments at which the device has nothing left to do.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tests.indextts.batch_models import tokens, voice
from tests.indextts.test_batch_operations import counted

from antiphon.engines.indextts.batch import draws, flow, flow_parts, parts, prompts, vocoder
from antiphon.engines.indextts.batch.codes import CodeSlots, Prompt
from benchmarks.indextts.models import Measured

#: Codes that the package draws for a measurement, and those of each row of the runtime.
PACKAGE_CODES, ROW_CODES = 24, 16
#: Positions of a slot.
POSITIONS = 256
#: Euler steps, and frames of the reference and of what is made.
STEPS, HEARD, MADE = 3, 258, 172
#: Frames of a mel for the vocoder, and of a window.
FRAMES, WIDTH = 344, 192
ROUNDS = 3


class Watch:
    """Measures seconds of a device."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")

    def __call__(self, work: Callable[[], object]) -> float:
        began = self._now()
        work()
        return self._now() - began

    def _now(self) -> float:
        if not self._cuda:
            return time.thread_time()
        torch.cuda.synchronize()
        return time.perf_counter()


def codes(made: Measured, slots: Sequence[int], rounds: int = ROUNDS) -> dict[str, Any]:
    """Codes a second: the package with three beams and with one, and the runtime by slots; medians over rounds in each
    of which all of them are measured."""
    watch, gpt = Watch(made.device), made.modules.gpt
    style, emotion = _speaker(made, 0)
    ids = torch.tensor([tokens(0)], device=made.device)

    def package(beams: int) -> float:
        drawn: list[Any] = []
        seconds = watch(
            lambda: drawn.append(
                gpt.inference_speech(
                    ids, torch.zeros(1, dtype=torch.long, device=made.device), emotion, style,
                    max_generate_length=PACKAGE_CODES, do_sample=True, top_k=30, top_p=0.8, temperature=0.8,
                    num_beams=beams, repetition_penalty=10.0,
                )
            )
        )  # fmt: skip
        return float(drawn[0].shape[1] / seconds)

    def ours(count: int) -> float:
        batch = joined(made, count)
        return count * ROW_CODES / watch(lambda: batch.advance(ROW_CODES))

    package(1)
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for beams in (3, 1):
            rates.setdefault(f"package_{beams}_beam{'s' * (beams > 1)}", []).append(package(beams))
        for count in slots:
            rates.setdefault(str(count), []).append(ours(count))
    found = {name: round(statistics.median(each), 2) for name, each in rates.items()}
    return {name: rate for name, rate in found.items() if name.startswith("package")} | {
        "slots": {str(count): found[str(count)] for count in slots}
    }


def joined(made: Measured, count: int) -> CodeSlots:
    """Slots whose rows have their prompts, and one code."""
    batch = CodeSlots(parts.code_model(made.modules.gpt), count, POSITIONS, 64)
    prompt = prompts.prompt_model(made.modules.gpt)
    speakers = [made.modules.gpt.spk_emb_proj(style) + emotion for style, emotion in map(_speakers(made), range(count))]
    batch.join([Prompt(prompt(each, tokens(n % 8)), draws.uniforms(n, 64), 64) for n, each in enumerate(speakers)])
    batch.advance(1)
    return batch


def flows(made: Measured, rows: Sequence[int], rounds: int = ROUNDS) -> dict[str, Any]:
    """Seconds of an Euler step for one row."""
    watch, cfm = Watch(made.device), made.modules.cfm
    runtime = flow.Flow(flow_parts.flow_model(cfm))

    def inputs(n: int) -> tuple[Any, Any, Any, Any]:
        heard, length = voice(made.modules, n, HEARD), MADE - 8 * (n % 4)
        condition = torch.cat([heard.condition, torch.randn(length, made.modules.channels)]).to(made.device)
        noise = draws.noise(n, 80, HEARD + length).to(made.device)
        return noise, heard.mel.to(made.device), condition, heard.style.to(made.device)

    def package() -> float:
        noise, mel, condition, style = inputs(0)
        frames = torch.LongTensor([noise.shape[1]]).to(made.device)
        span = torch.linspace(0, 1, STEPS + 1, device=made.device)
        mask = (noise[None].clone(), frames, mel[None], condition[None], style, None, span, flow.GUIDANCE)
        return watch(lambda: cfm.solve_euler(*mask)) / STEPS

    def ours(count: int) -> float:
        batch = runtime.batch([runtime.row(*inputs(n)) for n in range(count)])
        return watch(lambda: [runtime.step(batch) for _ in range(STEPS)]) / STEPS / count

    return _side_by_side(package, ours, rows, rounds, "rows")


def vocoders(made: Measured, windows: Sequence[int], rounds: int = ROUNDS) -> dict[str, Any]:
    """Seconds of a frame."""
    watch = Watch(made.device)
    mels = [torch.randn(80, FRAMES - 13 * (n % 4), device=made.device) for n in range(max(windows))]

    def package() -> float:
        return watch(lambda: made.vocoder(mels[0][None])) / mels[0].shape[1]

    def ours(count: int) -> float:
        sounds = [vocoder.Sound(mel, WIDTH) for mel in mels[:count]]

        def work() -> None:
            while batch := vocoder.take(sounds, 16):
                vocoder.vocode(made.vocoder, batch)

        return watch(work) / sum(int(mel.shape[1]) for mel in mels[:count])

    return _side_by_side(package, ours, windows, rounds, "mels")


def operations(made: Measured) -> dict[str, float]:
    """Operations launched for a code and for an Euler step of one row: the package's, and ours at eight."""
    gpt, cfm, rows = made.modules.gpt, made.modules.cfm, 8
    style, emotion = _speaker(made, 0)
    ids = torch.tensor([tokens(0)], device=made.device)

    def package(most: int) -> int:
        return counted(
            lambda: gpt.inference_speech(
                ids, torch.zeros(1, dtype=torch.long, device=made.device), emotion, style, max_generate_length=most,
                do_sample=True, top_k=30, top_p=0.8, temperature=0.8, num_beams=3, repetition_penalty=10.0,
            )
        )  # fmt: skip

    batch = joined(made, rows)
    runtime = flow.Flow(flow_parts.flow_model(cfm))
    made_rows = []
    for n in range(rows):
        heard, frames = voice(made.modules, n, 20), 40 - n
        condition = torch.cat([heard.condition, torch.zeros(frames - 20, made.modules.channels)]).to(made.device)
        noise = draws.noise(n, 80, frames).to(made.device)
        made_rows.append(runtime.row(noise, heard.mel.to(made.device), condition, heard.style.to(made.device)))
    euler = runtime.batch(made_rows)
    heard = voice(made.modules, 0, 20)
    noise, span = draws.noise(0, 80, 40).to(made.device), torch.linspace(0, 1, 3, device=made.device)
    condition = torch.cat([heard.condition, torch.zeros(20, made.modules.channels)]).to(made.device)
    frames = torch.LongTensor([40]).to(made.device)
    mask = (noise[None].clone(), frames, heard.mel[None].to(made.device), condition[None])
    alone = counted(lambda: cfm.solve_euler(*mask, heard.style.to(made.device), None, span, flow.GUIDANCE)) / 2
    return {
        "code_package_3_beams": (package(10) - package(6)) / 4,
        "code_8_slots": counted(lambda: batch._step(POSITIONS)) / rows,
        "euler_row_package": alone,
        "euler_row_8": counted(lambda: runtime.step(euler)) / rows,
    }


def _speaker(made: Measured, number: int) -> tuple[Any, Any]:
    """Style and emotion of a made-up voice."""
    heard = voice(made.modules, number, 8)
    return heard.style.to(made.device), heard.emotion.to(made.device)


def _speakers(made: Measured) -> Callable[[int], tuple[Any, Any]]:
    return lambda number: _speaker(made, number)


def _side_by_side(
    package: Callable[[], float], ours: Callable[[int], float], counts: Sequence[int], rounds: int, what: str
) -> dict[str, Any]:
    package()
    seconds: dict[str, list[float]] = {"package": []}
    for _ in range(rounds):
        seconds["package"].append(package())
        for count in counts:
            seconds.setdefault(str(count), []).append(ours(count))
    found = {name: statistics.median(each) for name, each in seconds.items()}
    return {"package": round(found.pop("package"), 5), what: {name: round(each, 5) for name, each in found.items()}}
