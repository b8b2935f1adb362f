"""Graph: writes Kokoro's int8 graph again from the same bytes, as two graphs that compute the same sound in less time.

The encoder turns phonemes into frames of 25 ms, the decoder turns frames into samples; so frames without sound need not
be computed, and the first second can be decoded before the rest. Two thirds of the time are convolutions of integers,
for which ONNX Runtime has one kernel. They become products of matrices, for which it has one for each processor.

Needs the package `onnx`, which nothing else needs; `derived` runs this in a process of its own.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from antiphon.engines.kokoro.tensors import ENERGY, FRAMES, PITCH

#: The largest weight.
LARGEST = 63

_Inputs = Sequence[tuple[str, int, Sequence[int | str]]]
_ENCODER_INPUTS: _Inputs = (
    ("tokens", TensorProto.INT64, [1, "tokens"]), ("style", TensorProto.FLOAT, [1, 256]),
    ("speed", TensorProto.FLOAT, [1]),
)  # fmt: skip
_DECODER_INPUTS: _Inputs = (
    ("style", TensorProto.FLOAT, [1, 256]), (FRAMES, TensorProto.FLOAT, [1, 512, "frames"]),
    (PITCH, TensorProto.FLOAT, [1, "points"]), (ENERGY, TensorProto.FLOAT, [1, "points"]),
)  # fmt: skip


def rewrite(model: ModelProto) -> tuple[ModelProto, ModelProto]:
    """The encoder and the decoder. Changes the model. Raises `ValueError` for a graph that is not Kokoro's."""
    graph = Graph(model)
    counts = (_convolutions(graph), _normalisations(graph), _squares(graph))
    if min(counts) == 0:
        raise ValueError(f"the graph has not the operations of Kokoro's: {counts}")
    graph.tidy()
    return graph.part(_ENCODER_INPUTS, (FRAMES, PITCH, ENERGY)), graph.part(_DECODER_INPUTS, ("audio",))


class Graph:
    """A model's nodes, by what they give and by what they take, and the nodes that replace some of them."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.constants: dict[str, TensorProto] = {each.name: each for each in model.graph.initializer}
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.index()

    def index(self) -> None:
        self.giver = {output: node for node in self.nodes for output in node.output}
        self.takers: dict[str, list[NodeProto]] = collections.defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.takers[name].append(node)

    def constant(self, name: str, values: Any) -> str:
        """Adds a constant unless there is one of that name; returns the name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def values(self, name: str) -> Any:
        return numpy_helper.to_array(self.constants[name])

    def only_taker(self, name: str, kind: str) -> NodeProto | None:
        """The one node that takes a tensor, if it is of that kind."""
        takers = self.takers[name]
        return takers[0] if len(takers) == 1 and takers[0].op_type == kind else None

    def other_input(self, node: NodeProto, name: str) -> str:
        return str(next(each for each in node.input if each != name))

    def replace(self, nodes: Sequence[NodeProto]) -> None:
        """Adds nodes in place of those that gave the same tensors."""
        given = {output for node in nodes for output in node.output}
        self.nodes = [node for node in self.nodes if given.isdisjoint(node.output)]
        self.nodes += nodes

    def tidy(self) -> None:
        """Leaves out what no output needs, and brings nodes into the order in which they can run."""
        self.index()
        self.nodes = self._needed([each.name for each in self.model.graph.output], frozenset())
        self.index()

    def part(self, inputs: _Inputs, outputs: Sequence[str]) -> ModelProto:
        """The part of the graph between some tensors, as a model of its own."""
        nodes = self._needed(outputs, frozenset(name for name, _, _ in inputs))
        taken = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "kokoro",
            [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in inputs if name in taken],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [tensor for name, tensor in self.constants.items() if name in taken],
        )
        made = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        # The package reads the alphabet there.
        made.metadata_props.extend(self.model.metadata_props)
        return made

    def _needed(self, outputs: Sequence[str], given: frozenset[str]) -> list[NodeProto]:
        """The nodes that outputs need, each after those that it needs."""
        ordered: list[NodeProto] = []
        done = set(given)
        stack = [(name, False) for name in reversed(outputs)]
        while stack:
            name, entered = stack.pop()
            node = self.giver.get(name)
            if entered and node is not None:
                if name not in done:
                    ordered.append(node)
                    done.update(node.output)
            elif node is not None and name not in done:
                stack.append((name, True))
                stack += [(each, False) for each in reversed(node.input) if each not in done]
        return ordered


# Convolutions


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A ConvInteger and the nodes after it, which together give floats."""

    name: str
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


def _convolutions(graph: Graph) -> int:
    """Replaces each integer convolution by a product of matrices; returns how many."""
    found = [each for node in graph.nodes if node.op_type == "ConvInteger" if (each := _convolution(graph, node))]
    shared: dict[str, NodeProto] = {}
    for each in found:
        new: list[NodeProto] = []
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


# Normalisations and squares


def _normalisations(graph: Graph) -> int:
    """Replaces each chain of nodes that normalises over time by one InstanceNormalization; returns how many."""
    graph.index()
    new: list[NodeProto] = []
    flat = graph.constant("flat", np.array([-1], np.int64))
    for node in graph.nodes:
        if node.op_type != "Div" or (found := _normalisation(graph, node)) is None:
            continue
        source, epsilon, gain, offset, output = found
        new += [
            helper.make_node("Reshape", [gain, flat], [f"{node.name}_gain"]),
            helper.make_node("Reshape", [offset, flat], [f"{node.name}_offset"]),
            helper.make_node(
                "InstanceNormalization", [source, f"{node.name}_gain", f"{node.name}_offset"], [output],
                name=f"{node.name}_whole", epsilon=epsilon,
            ),
        ]  # fmt: skip
    graph.replace(new)
    graph.tidy()
    return len(new) // 3


def _normalisation(graph: Graph, node: NodeProto) -> tuple[str, float, str, str, str] | None:
    """Source, epsilon, gain, offset and output of (x - mean) / sqrt(variance + epsilon) * gain + offset."""
    centred, deviation = (graph.giver.get(name) for name in node.input)
    if centred is None or deviation is None or (centred.op_type, deviation.op_type) != ("Sub", "Sqrt"):
        return None
    source, mean = centred.input[0], graph.giver.get(centred.input[1])
    variance = graph.giver.get(deviation.input[0])
    epsilons = (
        [graph.values(name) for name in variance.input if name in graph.constants] if variance is not None else []
    )
    if mean is None or (mean.op_type, mean.input[0]) != ("ReduceMean", source) or len(epsilons) != 1:
        return None
    scaled = graph.only_taker(node.output[0], "Mul")
    moved = graph.only_taker(scaled.output[0], "Add") if scaled is not None else None
    if scaled is None or moved is None:
        return None
    gain, offset = graph.other_input(scaled, node.output[0]), graph.other_input(moved, scaled.output[0])
    return source, float(epsilons[0].reshape(())), gain, offset, moved.output[0]


def _squares(graph: Graph) -> int:
    """Makes powers of two products, which are ten times as quick; returns how many."""
    count = 0
    for node in graph.nodes:
        if node.op_type == "Pow" and node.input[1] in graph.constants and np.all(graph.values(node.input[1]) == 2):
            node.op_type = "Mul"
            node.input[1] = node.input[0]
            count += 1
    return count
