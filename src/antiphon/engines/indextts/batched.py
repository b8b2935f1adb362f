"""Batched engine: IndexTTS driven in steps, each of which computes a part of many units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from antiphon.domain.engine import Capabilities, Emitted, Ended, Phase, Progressed
from antiphon.domain.unit import Wish
from antiphon.engines.indextts import fit
from antiphon.engines.indextts.base import STEPS, IndexTTS
from antiphon.engines.indextts.solo import Soloists

if TYPE_CHECKING:
    from antiphon.engines.indextts.batch.flow_parts import FlowModel
    from antiphon.engines.indextts.batch.graphs import Graphs
    from antiphon.engines.indextts.batch.runtime import Runtime
    from antiphon.engines.indextts.batch.sampling import Sampling

#: Units in the same steps on a CPU, where a batch gains little.
ROWS_CPU = 5
#: Units that are let in beside those, so that some are ready for each stage.
BESIDE_CPU, BESIDE_GPU = 2, 16
#: One row in so many, but of two at least one, is kept for units that a listener waits for.
KEPT = 8
#: Seconds that a step may take on a CPU: to hear a recording takes one core a good part of a minute.
STEP_CPU = 300.0
#: Frames of the vocoder's window.
WINDOW = 256
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

    def prepare_runtime(self, recorded: Graphs | None = None) -> None:
        """Takes the weights out of the loaded model, and makes room for the rows. `recorded`: None is what the device
        has."""
        from antiphon.engines.indextts.batch import codes, flow, graphs, parts, policy, runtime

        engine, on_cpu = self._engine, self._engine.device.startswith("cpu")
        weights = self._flow_weights()
        plan = self._plan()
        if plan.int8:
            engine.quantise()
        recorded = recorded or (graphs.on_device(engine.device) if plan.graphs else graphs.Graphs())
        slots = codes.CodeSlots(
            parts.code_model(engine.model.gpt), plan.rows, engine.POSITIONS, engine.POSITIONS, recorded
        )
        rule = policy.Policy(slots=plan.rows, reserve=min(plan.rows - 1, max(1, plan.rows // KEPT)))
        model = engine.batch_model(slots, self._vocoder(recorded, (weights.mels, WINDOW), rule.batch))
        self._units = plan.rows + (BESIDE_CPU if on_cpu else BESIDE_GPU)
        self._soloists = Soloists(engine.prepare_thread)
        flows = flow.Flow(weights, graphs=recorded)
        self._runtime: Runtime = runtime.Runtime(model, slots, flows, rule, WINDOW, _clock(engine.device))

    def _flow_weights(self) -> FlowModel:
        """In another precision than the package's they are a copy, which is made before free memory is counted."""
        import torch

        from antiphon.engines.indextts.batch import flow_parts

        precision, _ = self._engine.sound(self._engine.device)
        return flow_parts.flow_model(self._engine.model.s2mel.models["cfm"], getattr(torch, precision))

    def _vocoder(self, recorded: Graphs, window: tuple[int, int], most: int) -> Callable[[Any], Any]:
        """`window`: mels and frames of one; `most`: windows in the same step."""
        from antiphon.engines.indextts.batch import graphs, vocoder

        _, precision = self._engine.sound(self._engine.device)
        vocode = self._engine.model.bigvgan
        if precision == "bfloat16":
            vocode = vocoder.in_bfloat16(vocode)
        return graphs.RecordedVocoder(vocode, recorded, window, most, vocoder.HOP)

    def _plan(self) -> fit.Plan:
        """Rows, weights and graphs, by the operator's options and the memory that is free."""
        from antiphon.engines.indextts.batch import codes, int8, parts

        engine, given, gpt = self._engine, self._engine.options, self._engine.model.gpt
        if engine.device.startswith("cpu"):
            return fit.Plan(given.rows or ROWS_CPU, given.weights == "int8", False)
        row = codes.row_bytes(parts.code_model(gpt), engine.POSITIONS)
        free = free_memory(engine.device)
        return fit.plan(free, row, int8.saved(gpt), rows=given.rows, weights=given.weights, graphs=given.graphs)

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


def free_memory(device: str) -> int | None:
    """Bytes that are free on a device; None where torch cannot tell."""
    import torch

    accelerator = torch.get_device_module(device.partition(":")[0])
    look = getattr(accelerator, "mem_get_info", None)
    if look is None:
        return None
    # What loading has left behind is torch's, and free.
    accelerator.empty_cache()
    return int(look(torch.device(device))[0])


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
