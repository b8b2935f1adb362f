"""Convolutions: integer convolutions as products of matrices.

Two thirds of the time of the graph as it came are convolutions of integers, for which ONNX Runtime has one kernel. For
products of matrices it has one for each processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from antiphon.engines.kokoro.graph import Graph

#: The largest weight.
LARGEST = 63


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A ConvInteger and the nodes after it, which together give floats."""

    name: str
    #: The input before it is quantised.
    source: str
    #: The quantised input, its scale and its zero point.
    quantised: str
    scale: str
    zero: str
    #: Weights (outputs, inputs, taps), their scale and zero point.
    weights: Any
    weight_scale: float
    weight_zero: int
    bias: str | None
    taps: int
    dilation: int
    pads: tuple[int, int]
    #: The tensor that it gives.
    output: str


def convolutions(graph: Graph, *, floats: bool = False) -> int:
    """Replaces each integer convolution by a product of matrices, or by one of floats; returns how many."""
    found = [each for node in graph.nodes if node.op_type == "ConvInteger" if (each := _convolution(graph, node))]
    shared: dict[str, NodeProto] = {}
    for each in found:
        new: list[NodeProto] = []
        if floats:
            graph.replace([_in_floats(graph, each)])
            continue
        columns = _columns(graph, each, _adder(shared, new))
        new += _product(graph, each, columns)
        graph.replace(new)
    graph.tidy()
    return len(found)


def _convolution(graph: Graph, node: NodeProto) -> _Convolution | None:
    """What a ConvInteger computes; None for one with strides, groups or two dimensions, of which the model has three
    small ones."""
    shape = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    values = graph.values(node.input[1])
    if len(shape["kernel_shape"]) != 1 or shape["strides"] != [1] or shape["group"] != 1 or values.dtype != np.uint8:
        return None
    source = graph.giver[node.input[0]]
    bias, summed = None, node.output[0]
    if (adding := graph.only_taker(summed, "Add")) is not None:
        bias = _bias(graph, graph.other_input(adding, summed), values.shape[0])
        summed = adding.output[0]
    cast = graph.only_taker(summed, "Cast")
    scaling = graph.only_taker(cast.output[0], "Mul") if cast is not None else None
    if cast is None or scaling is None or source.op_type != "DynamicQuantizeLinear":
        raise ValueError(f"{node.name} is not followed as those of Kokoro are")
    scales = graph.giver[graph.other_input(scaling, cast.output[0])]
    return _Convolution(
        name=node.name,
        source=source.input[0],
        quantised=source.output[0],
        scale=source.output[1],
        zero=source.output[2],
        weights=values,
        weight_scale=float(graph.values(graph.other_input(scales, source.output[1])).reshape(())),
        weight_zero=int(graph.values(node.input[3]).reshape(())),
        bias=bias,
        taps=shape["kernel_shape"][0],
        dilation=shape["dilations"][0],
        pads=tuple(shape["pads"]),
        output=scaling.output[0],
    )


def _in_floats(graph: Graph, conv: _Convolution) -> NodeProto:
    """The convolution with the same weights as floats, whose input is not quantised."""
    weights = (conv.weights.astype(np.float32) - conv.weight_zero) * np.float32(conv.weight_scale)
    inputs = [conv.source, graph.constant(f"{conv.name}_weights", weights), *([conv.bias] if conv.bias else [])]
    return helper.make_node(
        "Conv", inputs, [conv.output], name=f"{conv.name}_floats", kernel_shape=[conv.taps], dilations=[conv.dilation],
        pads=conv.pads,
    )  # fmt: skip


def _bias(graph: Graph, name: str, outputs: int) -> str:
    """The float bias from which an integer one is computed in each run."""
    stack = [name]
    while stack:
        each = stack.pop()
        if (constant := graph.constants.get(each)) is not None:
            if constant.data_type == TensorProto.FLOAT and list(constant.dims) == [outputs]:
                return each
        elif each in graph.giver and graph.giver[each].op_type != "DynamicQuantizeLinear":
            stack += graph.giver[each].input
    raise ValueError(f"{name} comes from no bias of {outputs} numbers")


Add = Callable[..., str]


def _adder(shared: dict[str, NodeProto], new: list[NodeProto]) -> Add:
    """Makes a node unless there is one that gives the same tensor; several convolutions read one input."""

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        if output not in shared:
            shared[output] = helper.make_node(kind, inputs, [output], name=output, **attributes)
            new.append(shared[output])
        return output

    return add


def _columns(graph: Graph, conv: _Convolution, add: Add) -> str:
    """The input as a matrix: a row for each point of time, with the inputs of all taps (im2col)."""
    rows = add("Transpose", [conv.quantised], f"{conv.quantised}_rows", perm=[0, 2, 1])
    if conv.taps == 1:
        return rows
    before, after = conv.pads
    pads = graph.constant(f"pads_{before}_{after}", np.array([0, before, 0, 0, after, 0], np.int64))
    padded = add("Pad", [rows, pads, conv.zero], f"{rows}_{before}_{after}")
    reach = (conv.taps - 1) * conv.dilation
    if before + after != reach:
        raise ValueError(f"{conv.name} changes the length")
    one, zero = graph.constant("one", np.int64(1)), graph.constant("zero", np.int64(0))
    length = add("Shape", [rows], f"{rows}_shape", start=1, end=2)
    count = add("Squeeze", [length], f"{rows}_length")
    points = add("Range", [zero, count, one], f"{rows}_range")
    column = add("Unsqueeze", [points, graph.constant("axis_1", np.array([1], np.int64))], f"{rows}_points")
    taps = graph.constant(f"taps_{conv.taps}_{conv.dilation}", np.arange(conv.taps)[None] * np.int64(conv.dilation))
    places = add("Add", [column, taps], f"{rows}_places_{conv.taps}_{conv.dilation}")
    gathered = add("Gather", [padded, places], f"{padded}_taps_{conv.taps}_{conv.dilation}", axis=1)
    width = conv.weights.shape[1] * conv.taps
    return add(
        "Reshape", [gathered, graph.constant(f"rows_{width}", np.array([1, -1, width], np.int64))], f"{gathered}_rows"
    )


def _product(graph: Graph, conv: _Convolution, columns: str) -> list[NodeProto]:
    matrix, scale, zero = _matrix(conv)
    inputs = [
        columns, graph.constant(f"{conv.name}_matrix", matrix), conv.scale, graph.constant(f"{conv.name}_scale", scale),
        conv.zero, graph.constant(f"{conv.name}_zero", zero), *([conv.bias] if conv.bias else []),
    ]  # fmt: skip
    product = f"{conv.name}_product"
    return [
        helper.make_node("MatMulIntegerToFloat", inputs, [product], name=product, domain="com.microsoft"),
        helper.make_node("Transpose", [product], [conv.output], name=f"{conv.name}_output", perm=[0, 2, 1]),
    ]


def _matrix(conv: _Convolution) -> tuple[Any, Any, Any]:
    """The weights as a matrix for rows of taps, the scale of each output, and the zero point.

    Numbers of seven bits: a processor without VNNI adds two products in 16 bits, which 2 × 255 × 63 fits into and eight
    bits do not (its sound was half a decibel too quiet). With a scale for each output they are about as fine as the
    eight bits of the file, which have one scale for all.
    """
    numbers = conv.weights.astype(np.float32) - conv.weight_zero
    most = np.maximum(np.abs(numbers).max(axis=(1, 2)), 1e-6)
    rounded = np.rint(numbers * (LARGEST / most)[:, None, None]).astype(np.int8)
    outputs, inputs, taps = rounded.shape
    matrix = rounded.transpose(2, 1, 0).reshape(taps * inputs, outputs)
    return matrix, (most * (conv.weight_scale / LARGEST)).astype(np.float32), np.int8(0)
