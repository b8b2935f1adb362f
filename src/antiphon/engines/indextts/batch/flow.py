"""Flow: Euler steps from noise to mel, for rows of unequal length, each at its own step, each as if it were alone.

The forward pass is our own. The newer package's has no attention mask, so a row would see the padding behind it, and
its WaveNet reflects at the tensor's edge and not at the row's. Here keys beyond a row's end are masked, and the
reflection is gathered for each row. What no step changes is computed once: all that depends on the time alone, and the
part of the input layer that does not read x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from antiphon.engines.indextts.batch.flow_parts import FlowLayer, FlowModel, TimedNorm
from antiphon.engines.indextts.batch.graphs import Graphs, Places

#: Steps where a request names no number, and how much the conditions count above none (classifier-free guidance).
STEPS, GUIDANCE = 25, 0.7
#: Of a batch whose steps are recorded: most rows, its frames are padded to a multiple, and most frames.
RECORDED_ROWS, MULTIPLE, RECORDED_FRAMES = 8, 128, 2048


@dataclass(slots=True, eq=False)
class FlowRow:
    """A row between its steps."""

    #: [mels, frames] float32; zero where the reference lies.
    x: Any
    #: [2, frames, width]: what the input layer makes of all but x, with conditions and without.
    fixed: Any
    #: Frames of the reference, which come first.
    prompt: int
    #: Where the row's first step stands among the times.
    first: int
    steps: int
    done: int = 0

    @property
    def frames(self) -> int:
        return int(self.x.shape[1])

    @property
    def mel(self) -> Any:
        """[mels, frames of the target]"""
        return self.x[:, self.prompt :]


class FlowBatch:
    """Rows that step together; what they share is padded to the longest. Not for rows that are in another batch."""

    def __init__(self, rows: Sequence[FlowRow], reach: int, frames: int | None = None) -> None:
        """`frames`: those to which all are padded, at least those of the longest row."""
        self.rows = tuple(rows)
        #: Rows and frames, if its steps are recorded.
        self.shape: tuple[int, int] | None = None
        longest, device = frames or max(row.frames for row in rows), rows[0].x.device
        self.x = torch.stack([functional.pad(row.x, (0, longest - row.frames)) for row in rows])
        fixed = [functional.pad(row.fixed, (0, 0, 0, longest - row.frames)) for row in rows]
        #: [2 rows, longest, width]: first all with conditions, then all without.
        self.fixed = torch.stack(fixed, 1).flatten(0, 1)
        #: Where each row stands among the times.
        self.at = torch.tensor([row.first + row.done for row in rows], device=device)
        ends = torch.tensor([row.frames for row in rows], device=device)
        place = torch.arange(longest, device=device)
        prompts = torch.tensor([row.prompt for row in rows], device=device)
        #: [rows, 1, longest] bool: the target's frames; all others stay zero.
        self.target = ((place < ends[:, None]) & (place >= prompts[:, None]))[:, None]
        twice = ends.repeat(2)[:, None]
        #: [2 rows, 1, 1, longest] bool: the keys that a row sees; None if all rows have one length. A recording is of
        #: any lengths.
        alike = frames is None and all(row.frames == longest for row in rows)
        self.seen = None if alike else (place < twice)[:, None, None]
        # Each row is reflected at its own ends; what lies behind its end reads some frame of its own.
        around = torch.arange(-reach, longest + reach, device=device).abs()
        around = torch.where(around < twice, around, 2 * (twice - 1) - around).clamp(0, longest - 1)
        #: [2 rows, 1, longest + 2 reach] long: the frames that the WaveNet's convolutions read.
        self.reflected = around[:, None]

    def move(self, places: Places) -> None:
        """To where the batch before it was, which is gone now."""
        for name in _PLACES:
            value = getattr(self, name)
            setattr(self, name, places(name, *value.shape).copy_(value))
        self.shape = len(self.rows), int(self.x.shape[2])

    def write_back(self) -> None:
        """Gives every row its own x again."""
        for n, row in enumerate(self.rows):
            row.x = self.x[n, :, : row.frames].clone()


#: What a step of a batch reads and changes.
_PLACES = ("x", "fixed", "at", "target", "seen", "reflected")


class Flow:
    def __init__(self, model: FlowModel, guidance: float = GUIDANCE, graphs: Graphs | None = None) -> None:
        self._model, self._guidance = model, guidance
        self._graphs = Graphs() if graphs is None else graphs
        self._places: Places | None = None
        self._dtype = model.input_x.dtype
        #: Of every time of every number of steps that was asked for, one after the other.
        self._first: dict[int, int] = {}
        self._span, self._scales, self._shifts, self._wave_biases, self._finals = self._times(STEPS)
        self._first[STEPS] = 0

    # Before the steps

    def row(self, noise: Any, reference: Any, conditions: Any, style: Any, steps: int = STEPS) -> FlowRow:
        """`noise` [mels, frames], `reference` [mels, prompt], `conditions` [frames, channels], `style` [1, features].

        The frames are those of the reference and of the target behind it; so are the conditions.
        """
        model, prompt = self._model, int(reference.shape[1])
        frames = int(conditions.shape[0])
        x = noise.to(conditions.device).clone()
        x[:, :prompt] = 0
        heard = functional.pad(reference, (0, frames - prompt)).T
        given = model.condition(torch.stack([conditions, torch.zeros_like(conditions)]).to(self._dtype))
        rest = torch.cat([heard, style.expand(frames, -1)], -1).to(self._dtype)
        rest = torch.stack([rest, torch.zeros_like(rest)])
        mels = model.mels
        fixed = model.input_rest(torch.cat([rest[..., :mels], given, rest[..., mels:]], -1))
        return FlowRow(x, fixed, prompt, self._start(steps), steps)

    def batch(self, rows: Sequence[FlowRow]) -> FlowBatch:
        """Where steps are recorded there is one batch at a time: write back the one before."""
        frames = -(-max(row.frames for row in rows) // MULTIPLE) * MULTIPLE
        if not self._graphs.on or len(rows) > RECORDED_ROWS or frames > RECORDED_FRAMES:
            return FlowBatch(rows, self._model.reach)
        if self._places is None:
            self._places = self._reserved()
        made = FlowBatch(rows, self._model.reach, frames)
        made.move(self._places)
        return made

    def _reserved(self) -> Places:
        """Places for the largest batch whose steps are recorded: 80 MB in float32 at the published size."""
        model, rows, frames = self._model, RECORDED_ROWS, RECORDED_FRAMES
        places = Places(model.input_x.device)
        places.reserve("x", rows, model.mels, frames)
        places.reserve("fixed", 2 * rows, frames, model.width, dtype=self._dtype)
        places.reserve("at", rows, dtype=torch.long)
        places.reserve("target", rows, frames, dtype=torch.bool)
        places.reserve("seen", 2 * rows, frames, dtype=torch.bool)
        places.reserve("reflected", 2 * rows, frames + 2 * model.reach, dtype=torch.long)
        return places

    def _start(self, steps: int) -> int:
        """Where the times of that many steps begin."""
        if steps not in self._first:
            self._first[steps] = int(self._span.shape[0])
            have = (self._span, self._scales, self._shifts, self._wave_biases, self._finals)
            grown = [torch.cat(pair) for pair in zip(have, self._times(steps), strict=True)]
            self._span, self._scales, self._shifts, self._wave_biases, self._finals = grown
        return self._first[steps]

    def _times(self, steps: int) -> tuple[Any, Any, Any, Any, Any]:
        """Of each step its span [steps], and what the time alone decides: scales and shifts of the norms
        [steps, norms, width], biases of the WaveNet [steps, 2 wave width × layers], shift and scale of the last norm
        [steps, 2 wave width].
        """
        model, device = self._model, self._model.input_x.device
        edges = torch.linspace(0, 1, steps + 1, device=device)
        times = [edges[0]]
        for n in range(steps):
            # The packages add the spans up, which rounds otherwise than the edges.
            times.append(times[-1] + (edges[n + 1] - edges[n]))
        at = torch.stack(times[:-1])
        time, wave_time = model.time(at).to(self._dtype), model.wave_time(at).to(self._dtype)
        norms = [norm for layer in model.layers for norm in (layer.before_attention, layer.before_mlp)]
        scales, shifts = zip(*(_scale_and_shift(norm, time) for norm in (*norms, model.last_norm)), strict=True)
        return (
            edges[1:] - edges[:-1],
            torch.stack(scales, 1),
            torch.stack(shifts, 1),
            model.wave_times(wave_time[:, :, None])[:, :, 0],
            model.final_times(functional.silu(time)),
        )

    # Steps

    def step(self, batch: FlowBatch) -> None:
        """One Euler step of every row; call `write_back` before a row is looked at."""
        if batch.shape is None:
            self._euler(batch)
        else:
            # A number of steps that is new makes new tables of times, and other recordings.
            self._graphs.run(("flow", len(self._first), *batch.shape), partial(self._euler, batch))
        for row in batch.rows:
            row.done += 1

    def _euler(self, batch: FlowBatch) -> None:
        """Changes x and the times in place: where they lie is part of a recording."""
        velocity = self._velocity(batch).float()
        given, free = velocity.chunk(2)
        velocity = (1 + self._guidance) * given - self._guidance * free
        batch.x.addcmul_(self._span[batch.at][:, None, None], velocity).mul_(batch.target)
        batch.at += 1

    def _velocity(self, batch: FlowBatch) -> Any:
        """[2 rows, mels, longest]: with conditions, and without."""
        model = self._model
        at = batch.at.repeat(2)
        scales, shifts = self._scales[at][:, :, None], self._shifts[at][:, :, None]
        x = batch.x.transpose(1, 2).to(self._dtype).repeat(2, 1, 1)
        h = functional.linear(x, model.input_x) + batch.fixed
        kept: list[Any] = []
        for n, layer in enumerate(model.layers):
            if layer.merge is not None:
                h = layer.merge(torch.cat([h, kept.pop()], -1))
            normed = _timed(layer.before_attention, h, scales[:, 2 * n], shifts[:, 2 * n])
            h = h + self._attended(layer, normed, batch.seen)
            normed = _timed(layer.before_mlp, h, scales[:, 2 * n + 1], shifts[:, 2 * n + 1])
            h = h + layer.down(functional.silu(layer.gate(normed)) * layer.up(normed))
            if n < len(model.layers) // 2:
                kept.append(h)
        h = model.long_skip(torch.cat([_timed(model.last_norm, h, scales[:, -1], shifts[:, -1]), x], -1))
        y = self._waves(model.to_wave(h).transpose(1, 2), batch.reflected, self._wave_biases[at][:, :, None])
        y = y.transpose(1, 2) + model.residual(h)
        shift, scale = self._finals[at][:, None].chunk(2, -1)
        y = functional.layer_norm(y, (y.shape[-1],), None, None, model.final_eps)
        return model.out(model.final(torch.addcmul(shift, y, 1 + scale)).transpose(1, 2))

    def _attended(self, layer: FlowLayer, x: Any, seen: Any) -> Any:
        rows, frames, heads = x.shape[0], x.shape[1], self._model.heads
        qkv = layer.qkv(x).view(rows, frames, 3, heads, -1)
        # Rotary positions turn neighbouring pairs, of queries and keys alike.
        pairs = torch.view_as_complex(qkv[:, :, :2].float().unflatten(-1, (-1, 2)))
        turned = torch.view_as_real(pairs * self._model.turns[:frames, None, None]).flatten(-2).to(qkv.dtype)
        q, k, v = turned[:, :, 0], turned[:, :, 1], qkv[:, :, 2]
        made = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=seen
        )
        return layer.attended(made.transpose(1, 2).reshape(rows, frames, -1))

    def _waves(self, x: Any, reflected: Any, biases: Any) -> Any:
        """[2 rows, wave width, frames] → the same. Behind a row's end it makes something that no frame of it reads."""
        wide, model = x.shape[1], self._model
        reflected = reflected.expand(-1, wide, -1)
        whole: Any = 0
        for n, layer in enumerate(model.waves):
            conv = layer.conv
            y = functional.conv1d(x.gather(2, reflected), conv.weight, conv.bias)
            y = y + biases[:, 2 * wide * n : 2 * wide * (n + 1)]
            y = layer.out(y[:, :wide].tanh() * y[:, wide:].sigmoid())
            if n < len(model.waves) - 1:
                x, whole = x + y[:, :wide], whole + y[:, wide:]
            else:
                whole = whole + y
        return whole


def _scale_and_shift(norm: TimedNorm, time: Any) -> tuple[Any, Any]:
    """[times, width] each; the norm's own weight is part of the scale."""
    scale, shift = norm.project(time).chunk(2, -1)
    return scale * norm.weight, shift


def _timed(norm: TimedNorm, x: Any, scale: Any, shift: Any) -> Any:
    return torch.addcmul(shift, functional.rms_norm(x, (x.shape[-1],), None, norm.eps), scale)
