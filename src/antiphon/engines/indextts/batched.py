"""Batched engine: IndexTTS driven in steps, each of which computes a part of many units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from antiphon.domain.engine import Capabilities, Emitted, Ended, Phase, Progressed
from antiphon.domain.unit import Wish
from antiphon.engines.indextts.base import STEPS, IndexTTS
from antiphon.engines.indextts.solo import Soloists

if TYPE_CHECKING:
    from antiphon.engines.indextts.batch.runtime import Runtime
    from antiphon.engines.indextts.batch.sampling import Sampling

#: Units in the same steps where the operator names no number, at most; and how many more are let in, so that some are
#: ready for each stage. On a CPU a batch gains little.
ROWS_CPU, ROWS_GPU = 5, 32
#: One row in so many, but of two at least one, is kept for units that a listener waits for.
KEPT = 8
#: Bytes of a device's memory that are left to the flow, the vocoder and the recordings.
WORKSPACE = 1_500_000_000
BESIDE_CPU, BESIDE_GPU = 2, 16
#: Seconds that a step may take on a CPU: to hear a recording takes one core a good part of a minute.
STEP_CPU = 300.0
#: Arguments of the packages that say how codes are drawn.
_SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty")


class BatchedIndexTTS:
    """Has the options, the voices and the capabilities of the engine that it is made of."""

    def __init__(self, engine: IndexTTS) -> None:
        self._engine = engine
        #: Whether the last step was one of the package's own.
        self._solo = False

    def load(self, phase: Phase) -> None:
        engine = self._engine
        engine.load(phase)
        phase("preparing the batched runtime")
        self.prepare_runtime()

    def prepare_runtime(self) -> None:
        """Takes the weights out of the loaded model, and makes room for the rows."""
        from antiphon.engines.indextts.batch import codes, flow, flow_parts, parts, policy, runtime

        engine = self._engine
        package, on_cpu = engine.model, engine.device.startswith("cpu")
        code_model = parts.code_model(package.gpt)
        rows = engine.options.rows or (
            ROWS_CPU if on_cpu else fitting(free_memory(engine.device), codes.row_bytes(code_model, engine.POSITIONS))
        )
        self._units = rows + (BESIDE_CPU if on_cpu else BESIDE_GPU)
        slots = codes.CodeSlots(code_model, rows, engine.POSITIONS, engine.POSITIONS)
        flows = flow.Flow(flow_parts.flow_model(package.s2mel.models["cfm"]))
        model, clock = engine.batch_model(slots), _clock(engine.device)
        rule = policy.Policy(slots=rows, reserve=min(rows - 1, max(1, rows // KEPT)))
        self._soloists = Soloists(engine.prepare_thread)
        self._runtime: Runtime = runtime.Runtime(model, slots, flows, rule, clock=clock)

    def warm(self) -> None:
        self.admit(0, self._engine.warm_params(), Wish())
        while not self._runtime.idle:
            self._runtime.step()

    def capabilities(self) -> Capabilities:
        can = self._engine.capabilities()
        slow = STEP_CPU if self._engine.device.startswith("cpu") else 0.0
        return replace(can, slots=self._units, sharing="one", step_seconds=slow)

    def admit(self, unit: int, params: Mapping[str, Any], wish: Wish) -> None:
        """Raises `InvalidRequest`, `UnknownVoice`."""
        from antiphon.engines.indextts.batch.listener import VoiceKey
        from antiphon.engines.indextts.batch.units import Ask

        engine = self._engine
        delivery = engine.delivery(params)
        given = delivery.arguments
        if given["num_beams"] > 1:
            self._soloists.admit(unit, partial(engine.speak, params, delivery))
            return
        ask = Ask(
            engine.utterance(params, delivery),
            VoiceKey(
                delivery.voice,
                delivery.emotion_reference,
                delivery.strength,
                None if delivery.weights is None else tuple(delivery.weights),
                delivery.mood,
            ),
            delivery.manner,
            engine.readings.ahead(params["text"], delivery.manner),
            self.sampling(given),
            given.get("diffusion_steps", STEPS),
            delivery.duration,
        )
        self._runtime.admit(unit, ask, wish)

    def sampling(self, given: Mapping[str, Any]) -> Sampling:
        """How codes are drawn, of a request's arguments."""
        from antiphon.engines.indextts.batch.sampling import Sampling

        return Sampling(**{name: given[name] for name in _SAMPLING if name in given})

    def cancel(self, unit: int) -> None:
        self._runtime.cancel(unit)
        self._soloists.cancel(unit)

    def step(self) -> Sequence[Emitted | Progressed | Ended]:
        self._solo = bool(len(self._soloists)) and (self._runtime.idle or not self._solo)
        return self._soloists.step() if self._solo else self._runtime.step()

    def suspects(self) -> frozenset[int]:
        return frozenset({self._soloists.current}) if self._solo else self._runtime.suspects()

    def close(self) -> None:
        self._engine.close()


def fitting(free: int | None, row: int) -> int:
    """Rows for which a device has the memory: `free` bytes once the weights are there (None: nobody knows), and bytes
    of a row."""
    return ROWS_GPU if free is None else max(1, min(ROWS_GPU, (free - WORKSPACE) // row))


def free_memory(device: str) -> int | None:
    """Bytes that are free on a device; None where torch cannot tell."""
    import torch

    look = getattr(torch.get_device_module(device.partition(":")[0]), "mem_get_info", None)
    return None if look is None else int(look(torch.device(device))[0])


def _clock(device: str) -> Callable[[], float]:
    """Seconds, once the device has done all that it was asked for."""
    import time

    if device.startswith("cpu"):
        return time.perf_counter
    import torch

    accelerator = torch.get_device_module(device.partition(":")[0])

    def now() -> float:
        accelerator.synchronize()
        return time.perf_counter()

    return now
