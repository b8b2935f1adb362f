"""Dividing: Kokoro's int8 graph, from the same bytes, as two graphs that compute the same sound in less time.

The encoder turns phonemes into frames of 25 ms, the decoder turns frames into samples; so frames without sound need not
be computed, and the first second can be decoded before the rest.
"""

from __future__ import annotations

from onnx import ModelProto, TensorProto

from antiphon.engines.kokoro.convolutions import convolutions
from antiphon.engines.kokoro.elementwise import normalisations, snakes, squares
from antiphon.engines.kokoro.graph import Graph, Inputs
from antiphon.engines.kokoro.tensors import ENERGY, FRAMES, PITCH

_ENCODER_INPUTS: Inputs = (
    ("tokens", TensorProto.INT64, [1, "tokens"]), ("style", TensorProto.FLOAT, [1, 256]),
    ("speed", TensorProto.FLOAT, [1]),
)  # fmt: skip
_DECODER_INPUTS: Inputs = (
    ("style", TensorProto.FLOAT, [1, 256]), (FRAMES, TensorProto.FLOAT, [1, 512, "frames"]),
    (PITCH, TensorProto.FLOAT, [1, "points"]), (ENERGY, TensorProto.FLOAT, [1, "points"]),
)  # fmt: skip


def rewrite(model: ModelProto, *, floats: bool = False) -> tuple[ModelProto, ModelProto]:
    """The encoder and the decoder; `floats`: with convolutions of floating point numbers, as GPUs compute them.

    Changes the model. Raises `ValueError` for a graph that is not Kokoro's.
    """
    graph = Graph(model)
    counts = (convolutions(graph, floats=floats), normalisations(graph), squares(graph), snakes(graph))
    if min(counts) == 0:
        raise ValueError(f"the graph has not the operations of Kokoro's: {counts}")
    graph.tidy()
    return graph.part(_ENCODER_INPUTS, (FRAMES, PITCH, ENERGY)), graph.part(_DECODER_INPUTS, ("audio",))
