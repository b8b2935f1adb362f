"""Fit: what a GPU's memory allows. Pure, so that the engine, `antiphon doctor` and the documents obey the same rule.

Where memory is short, first the recordings of CUDA graphs go, which cost speed only; then the code model's weights are
kept as whole numbers of eight bits, which changes the sound a little; and then there are fewer rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weights = Literal["auto", "full", "int8"]

#: Rows on a GPU where the operator names no number, at most; and those for which something is given up.
ROWS, HANDFUL = 32, 4
#: Bytes of a GPU that are left to the flow, the vocoder and the recordings of voices; and to CUDA graphs, which keep
#: what a step makes on the way.
WORKSPACE, GRAPHS = 1_500_000_000, 1_000_000_000
#: Bytes that the driver and CUDA's own code take of a GPU before there are any weights.
CONTEXT = 500_000_000
#: Bytes more than in the end while the weights are read.
LOADING = 400_000_000
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Plan:
    #: Units that are computed in the same steps.
    rows: int
    #: Whether the weights of the code model's layers are kept in eight bits.
    int8: bool
    #: Whether steps are recorded as CUDA graphs.
    graphs: bool


def plan(
    free: int | None, row: int, saved: int, *, rows: int = 0, weights: Weights = "auto", graphs: bool = True
) -> Plan:
    """Of the bytes that are free once the full weights are there (None: unknown), the bytes of a row, and those that
    int8 frees. `rows` (0: as many as fit), `weights` and `graphs` (whether they may be used) are the operator's."""
    if free is None:
        return Plan(rows or ROWS, weights == "int8", graphs)
    room, enough = free - WORKSPACE, min(rows or HANDFUL, HANDFUL) * row
    room += saved if weights == "int8" else 0
    graphs = graphs and room - GRAPHS >= enough
    room -= GRAPHS if graphs else 0
    short = weights == "auto" and room < enough
    room += saved if short else 0
    return Plan(rows or max(1, min(ROWS, room // row)), short or weights == "int8", graphs)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a model at its published dimensions, computed and not measured; in half the precision and in float32."""

    #: Of all weights, what is computed with them when one sentence is spoken included.
    weights: tuple[int, int]
    #: Of a copy of the flow's weights in bfloat16.
    flow: int
    #: Positions of a row.
    positions: int
    #: Of the code model.
    layers: int = 24
    width: int = 1280

    def row(self, half: bool) -> int:
        return self.layers * 2 * self.width * self.positions * (2 if half else 4)

    def saved(self, half: bool) -> int:
        """What int8 frees: four matrices a layer, of 12 × width² numbers."""
        return self.layers * 12 * self.width**2 * (1 if half else 3)


#: By the model's name. 4.3 and 5.6 GB are published; the older one's are counted from its modules, that which reads
#: moods included.
SIZES = {
    "indextts-2.5": Sizes((4_300_000_000, 5_600_000_000), 200_000_000, 1024),
    "indextts-2": Sizes((6_000_000_000, 7_500_000_000), 200_000_000, 1664),
}


@dataclass(frozen=True, slots=True)
class Fit:
    precision: str
    plan: Plan


def fit(model: str, free: int, bf16: bool) -> Fit | None:
    """What `auto` comes to on a GPU with so many bytes free, before anything of the model is there; None if the model
    does not fit. `bf16`: whether the GPU computes in bfloat16."""
    sizes, newer = SIZES[model], model == "indextts-2.5"
    half = bf16 or not newer
    left = free - CONTEXT - sizes.weights[0 if half else 1] - (sizes.flow if bf16 else 0)
    found = plan(left, sizes.row(half), sizes.saved(half))
    room = left - WORKSPACE + (sizes.saved(half) if found.int8 else 0)
    if left < LOADING or room < sizes.row(half):
        return None
    return Fit(("bfloat16" if newer else "float16") if half else "float32", found)


def describe(model: str, free: int, bf16: bool) -> str:
    """What fits, in words: a line of `antiphon doctor`."""
    found = fit(model, free, bf16)
    if found is None:
        return "too little memory for the model; it runs on the CPU, slowly"
    rows = "one sentence at a time" if found.plan.rows == 1 else f"{found.plan.rows} sentences in the same steps"
    weights = "weights in int8" if found.plan.int8 else "full weights"
    return f"{found.precision}, {rows}, {weights}, {'CUDA graphs' if found.plan.graphs else 'no CUDA graphs'}"


def table() -> str:
    """The table of `docs/indextts2.md`: IndexTTS-2.5 on a GPU where nothing else runs."""
    lines = ["| GPU | precision | rows | weights of the codes | CUDA graphs |", "|---|---|---|---|---|"]
    for size in (6, 8, 12, 24, 80):
        for bf16 in (True, False) if size in (6, 8, 12) else (True,):
            found = fit("indextts-2.5", size * GIB, bf16)
            card = f"{size} GB" + (" and more" if size == 80 else "") + ("" if bf16 else ", without bfloat16")
            if found is None:
                lines.append(f"| {card} | | none: it runs on the CPU | | |")
                continue
            weights, graphs = "int8" if found.plan.int8 else "full", "yes" if found.plan.graphs else "no"
            lines.append(f"| {card} | {found.precision} | {found.plan.rows} | {weights} | {graphs} |")
    return "\n".join(lines)
