"""Noise: makes what a voice's graph draws at random an input, so that a seed gives the same samples each time.

A voice adds noise to the length of its sounds and to their colour. ONNX Runtime draws it from a generator that goes on
from one computation to the next; its own seed only says where a process begins. Without noise a voice would repeat
itself too, but every sentence would have the same even rhythm.
"""

from __future__ import annotations

import functools
from typing import Any

#: The input's name, and how many numbers it has. A prime, so that rows of a tensor, which begin where the row before
#: ends, never begin at the same number.
INPUT, COUNT = "antiphon_noise", 262_139
#: Numbers between the beginnings of the tensors of a graph.
APART = 100_003


class NoVoice(ValueError):
    """The bytes are no graph of a voice; the text says why."""


def with_input(data: bytes) -> tuple[bytes, bool]:
    """The graph with its noise as an input, and whether it has one: a graph that draws it in an unknown way stays as it
    is, and is then run without noise. Raises `NoVoice`."""
    import onnx

    model = check(data)
    drawn = [node for node in model.graph.node if node.op_type.startswith(("Random", "Multinomial", "Bernoulli"))]
    if not drawn or any(node.op_type != "RandomNormalLike" for node in drawn) or any(map(_shifted, drawn)):
        return data, False
    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type == "RandomNormalLike":
            nodes += _given(model.graph, node, drawn.index(node) * APART)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [COUNT]))
    return model.SerializeToString(), True


def check(data: bytes) -> Any:
    """The graph. Raises `NoVoice` for anything but that of a voice."""
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as e:
        raise NoVoice("it is no ONNX file, or it is damaged") from e
    names = {each.name for each in model.graph.input}
    if not {"input", "input_lengths", "scales"} <= names:
        raise NoVoice(f"it is no voice of Piper: its inputs are {', '.join(sorted(names)) or 'missing'}")
    return model


@functools.lru_cache(maxsize=4)
def numbers(seed: int) -> Any:
    """Normally distributed numbers, the same for a seed in every version of NumPy."""
    import numpy as np

    return np.random.RandomState(seed % 2**32).standard_normal(COUNT).astype(np.float32)


def _shifted(node: Any) -> bool:
    """Whether a node draws numbers of another mean or spread than 0 and 1, or of another type than float."""
    plain = {"mean": 0.0, "scale": 1.0, "dtype": 1}
    values = {each.name: each.i if each.name == "dtype" else each.f for each in node.attribute}
    return any(values.get(name, value) != value for name, value in plain.items())


def _given(graph: Any, node: Any, start: int) -> list[Any]:
    """Nodes that take a tensor of the same shape from the input: numbers from `start` on, again and again."""
    import numpy as np
    from onnx import helper, numpy_helper

    (like,), (out,) = node.input, node.output
    name = f"{INPUT}_{start}"

    def constant(what: str, value: int) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), f"{name}_{what}"))
        return f"{name}_{what}"

    return [
        helper.make_node("Shape", [like], [f"{name}_shape"]),
        helper.make_node("Size", [like], [f"{name}_size"]),
        helper.make_node("Add", [f"{name}_size", constant("start", start)], [f"{name}_end"]),
        helper.make_node("Range", [f"{name}_start", f"{name}_end", constant("step", 1)], [f"{name}_range"]),
        helper.make_node("Mod", [f"{name}_range", constant("count", COUNT)], [f"{name}_at"]),
        helper.make_node("Gather", [INPUT, f"{name}_at"], [f"{name}_flat"], axis=0),
        helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [out]),
    ]
