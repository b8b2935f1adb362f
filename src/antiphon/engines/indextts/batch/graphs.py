"""Graphs: a step of a stage as one launch, recorded by stage and shape when the shape is first met.

At few rows a GPU waits for Python, which launches hundreds of operations for a step. A CUDA graph launches all of them
at once. It repeats what was recorded: the same operations, on the same memory. So all that is recorded keeps three
rules:

- it reads and writes tensors that stay where they are (`Places`, or a stage's own); what it makes on the way lies in a
  pool that all graphs share, and is gone with the next one;
- all that Python decides in it is part of its key: shapes, and which tables it reads;
- it copies nothing to the host and nothing from it.

The same code runs everywhere: without a recorder each step is launched operation by operation.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Protocol

import torch

log = logging.getLogger("antiphon.engines.indextts")

#: Recordings that are kept: with 32 rows there may be 100 of the codes and 16 of the vocoder, and as many of the flow.
MOST = 192

Work = Callable[[], object]


class Recorder(Protocol):
    def record(self, work: Work) -> Callable[[], object]:
        """What repeats `work`. It is recorded and not run: nothing is changed by it yet. `work` has run before, so all
        that is made at a first run is there."""


class CudaRecorder:
    """CUDA graphs of one GPU, with one pool of memory: they run one after the other."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(self._device)

    def record(self, work: Work) -> Callable[[], object]:
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        # What other threads of the process do meanwhile is no part of it, and does not spoil it.
        how = {"pool": self._pool, "stream": self._stream, "capture_error_mode": "thread_local"}
        try:
            with torch.cuda.device(self._device), torch.cuda.graph(graph, **how):
                work()
        finally:
            # torch leaves its own one in place where a recording fails at its end.
            torch.cuda.set_stream(before)
        replay: Callable[[], object] = graph.replay
        return replay


class Graphs:
    """Recordings by key, the least recently used one dropped first. For the stages of one runtime."""

    def __init__(self, recorder: Recorder | None = None, most: int = MOST) -> None:
        """`recorder`: None records nothing."""
        self._recorder, self._most = recorder, most
        self._recordings: OrderedDict[Hashable, Callable[[], object]] = OrderedDict()

    @property
    def on(self) -> bool:
        return self._recorder is not None

    @property
    def count(self) -> int:
        return len(self._recordings)

    def run(self, key: Hashable, work: Work) -> None:
        """Does what `work` does, which was always the same for this key."""
        recording = self._recordings.get(key)
        if recording is not None:
            self._recordings.move_to_end(key)
            recording()
            return
        work()
        if self._recorder is not None:
            self._record(self._recorder, key, work)

    def _record(self, recorder: Recorder, key: Hashable, work: Work) -> None:
        try:
            self._recordings[key] = recorder.record(work)
        except Exception as e:
            # Once it did not work it is not tried again: the sound is the same without, and each try takes time.
            self._recorder = None
            self._recordings.clear()
            log.warning("CUDA graphs are off, and steps take longer: %s", str(e).partition("\n")[0] or repr(e))
            return
        if len(self._recordings) > self._most:
            self._recordings.popitem(last=False)


def on_device(device: str) -> Graphs:
    """CUDA has graphs. A CPU needs none, and on ROCm and MPS steps are launched one operation after the other."""
    cuda = device.startswith("cuda") and torch.version.cuda is not None
    return Graphs(CudaRecorder(device)) if cuda else Graphs()


class Places:
    """Tensors that stay where they are: those of one name begin at the same address, whatever their shape is."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._memory: dict[str, Any] = {}

    def reserve(self, name: str, *shape: int, dtype: Any = torch.float32) -> None:
        """Memory for the largest tensor of a name. It is not asked for again, since recordings know where it is."""
        self._memory[name] = torch.zeros(math.prod(shape), dtype=dtype, device=self._device)

    def __call__(self, name: str, *shape: int) -> Any:
        """Valid until the next one of this name."""
        return self._memory[name][: math.prod(shape)].view(shape)


class RecordedVocoder:
    """A vocoder whose full windows are recorded, by their number. Shorter ones, each of its own length, are not."""

    def __init__(
        self, model: Callable[[Any], Any], graphs: Graphs, shape: tuple[int, int], most: int, hop: int
    ) -> None:
        """`model` makes [rows, 1, hop × frames] of [rows, mels, frames]; `shape`: mels and frames of a window."""
        self._model, self._graphs, self._shape, self._most = model, graphs, shape, most
        self._samples = hop * shape[1]
        self._places: Places | None = None

    def __call__(self, mels: Any) -> Any:
        """What it returns is valid until it is called again."""
        if not self._graphs.on or tuple(mels.shape[1:]) != self._shape or len(mels) > self._most:
            return self._model(mels)
        if self._places is None:
            self._places = Places(mels.device)
            self._places.reserve("mels", self._most, *self._shape)
            self._places.reserve("samples", self._most, 1, self._samples)
        given, made = self._places("mels", *mels.shape), self._places("samples", len(mels), 1, self._samples)
        given.copy_(mels)
        self._graphs.run(("vocoder", len(mels)), partial(self._vocode, given, made))
        return made

    def _vocode(self, given: Any, made: Any) -> None:
        made.copy_(self._model(given))
