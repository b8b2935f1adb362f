"""Elementwise: chains of operations over every sample, in fewer passes."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, helper

from antiphon.engines.kokoro.graph import Graph


def normalisations(graph: Graph) -> int:
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


def squares(graph: Graph) -> int:
    """Makes powers of two products, which are ten times as quick; returns how many."""
    count = 0
    for node in graph.nodes:
        if node.op_type == "Pow" and node.input[1] in graph.constants and np.all(graph.values(node.input[1]) == 2):
            node.op_type = "Mul"
            node.input[1] = node.input[0]
            count += 1
    return count


def snakes(graph: Graph) -> int:
    """Computes x + sin²(ax) / a, after a normalisation, in three passes in place of five; returns how many there were.

    With z = 2ax, which the normalisation gives as easily as x, it is (z - cos z + 1) / 2a: a cosine, a difference, and
    one scale and offset for each channel.
    """
    graph.index()
    new: list[NodeProto] = []
    count = 0
    for node in graph.nodes:
        if node.op_type != "Sin" or (found := _snake(graph, node)) is None:
            continue
        x, frequency, output = found
        if (doubled := _doubled(graph, node.name, x, frequency)) is None:
            continue
        nodes, angle = doubled
        cosine, difference = f"{angle}_cosine", f"{angle}_difference"
        half = graph.constant(f"{node.name}_half", (0.5 / frequency).astype(np.float32))
        new += [
            *nodes,
            helper.make_node("Cos", [angle], [cosine], name=cosine),
            helper.make_node("Sub", [angle, cosine], [difference], name=difference),
            _affine(graph, len(frequency), [difference, half, half], output),
        ]
        count += 1
    graph.replace(new)
    graph.tidy()
    return count


def _snake(graph: Graph, node: NodeProto) -> tuple[str, Any, str] | None:
    """The tensor x, a by channel, and the output of x + sin²(ax) / a, if nothing else takes x."""
    product = graph.giver.get(node.input[0])
    factors = [name for name in product.input if name in graph.constants] if product is not None else []
    square = graph.takers[node.output[0]][0]
    if product is None or (product.op_type, square.op_type, len(factors)) != ("Mul", "Mul", 1):
        return None
    x = graph.other_input(product, factors[0])
    scaled = graph.only_taker(square.output[0], "Mul")
    added = graph.only_taker(scaled.output[0], "Add") if scaled is not None else None
    if added is None or x not in added.input or len(graph.takers[x]) != 2:
        return None
    return x, graph.values(factors[0]).reshape(-1), added.output[0]


def _doubled(graph: Graph, name: str, x: str, frequency: Any) -> tuple[list[NodeProto], str] | None:
    """The nodes that give 2ax, and the tensor, where a normalisation gives x; else None."""
    giver = graph.giver.get(x)
    if giver is None:
        return None
    twice = graph.constant(f"{name}_twice", (2 * frequency).astype(np.float32))
    gain, offset, angle = (f"{name}_angle_{part}" for part in ("gain", "offset", "whole"))
    if giver.op_type == "InstanceNormalization":
        scaled = [
            helper.make_node("Mul", [a, twice], [b]) for a, b in zip(giver.input[1:], (gain, offset), strict=True)
        ]
        again = helper.make_node(giver.op_type, [giver.input[0], gain, offset], [angle], name=angle)
        again.attribute.extend(giver.attribute)
        return [*scaled, again], angle
    # Several blocks share one normalisation; each has a gain and an offset of its own.
    products = [graph.giver[each] for each in giver.input if each in graph.giver and graph.giver[each].op_type == "Mul"]
    shared = [each for node in products for each in node.input if each in graph.giver and _is_ratio(graph, each)]
    if giver.op_type != "Add" or len(products) != 1 or len(shared) != 1:
        return None
    own = graph.other_input(products[0], shared[0]), graph.other_input(giver, products[0].output[0])
    flat = graph.constant("flat", np.array([-1], np.int64))
    nodes = [helper.make_node("Reshape", [a, flat], [f"{b}_flat"]) for a, b in zip(own, (gain, offset), strict=True)]
    nodes += [helper.make_node("Mul", [f"{each}_flat", twice], [each]) for each in (gain, offset)]
    return [*nodes, _affine(graph, len(frequency), [shared[0], gain, offset], angle)], angle


def _is_ratio(graph: Graph, name: str) -> bool:
    return graph.giver[name].op_type == "Div"


def _affine(graph: Graph, channels: int, inputs: list[str], output: str) -> NodeProto:
    """A gain and an offset for each channel in one pass; `inputs`: the tensor, gain and offset."""
    mean, variance = (
        graph.constant(f"{name}_{channels}", np.full(channels, value, np.float32))
        for name, value in (("zeros", 0), ("ones", 1))
    )
    return helper.make_node(
        "BatchNormalization", [*inputs, mean, variance], [output], name=f"{output}_affine", epsilon=0.0
    )
