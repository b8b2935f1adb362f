"""Kokoro's rewritten graph: chains of operations over every sample give the same in fewer passes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from antiphon.engines.kokoro.elementwise import normalisations, snakes
from antiphon.engines.kokoro.graph import Graph

CHANNELS, POINTS = 4, 50
FREQUENCY = np.array([1.3, 0.4, -0.02, 0.9], np.float32).reshape(1, -1, 1)


def snake(x: str, name: str) -> list[onnx.NodeProto]:
    """x + sin²(ax) / a, as the model's file has it after powers became products."""
    return [
        helper.make_node("Mul", ["frequency", x], [f"{name}_ax"], name=f"{name}/Mul"),
        helper.make_node("Sin", [f"{name}_ax"], [f"{name}_sin"], name=f"{name}/Sin"),
        helper.make_node("Mul", [f"{name}_sin", f"{name}_sin"], [f"{name}_square"]),
        helper.make_node("Mul", ["inverse", f"{name}_square"], [f"{name}_scaled"]),
        helper.make_node("Add", [x, f"{name}_scaled"], [f"out_{name}"]),
    ]


def normalised(branches: int) -> ModelProto:
    """A normalisation over time with a gain and an offset for each branch, and a snake after each."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "time"], ["mean"]),
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "time"], ["variance"]),
        helper.make_node("Add", ["variance", "epsilon"], ["safe"]),
        helper.make_node("Sqrt", ["safe"], ["deviation"]),
        helper.make_node("Div", ["centred", "deviation"], ["normal"], name="normal"),
    ]
    for n in range(branches):
        nodes.append(helper.make_node("Mul", ["gain", "normal"], [f"gained_{n}"]))
        nodes.append(helper.make_node("Add", [f"gained_{n}", "offset"], [f"y_{n}"]))
        nodes += snake(f"y_{n}", str(n))
    rng = np.random.default_rng(1)
    constants = {
        "time": np.array([2], np.int64),
        "epsilon": np.float32(1e-5),
        "frequency": FREQUENCY,
        "inverse": 1 / FREQUENCY,
        "gain": rng.normal(1, 0.3, (1, CHANNELS, 1)).astype(np.float32),
        "offset": rng.normal(0, 0.5, (1, CHANNELS, 1)).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, POINTS])],
        [helper.make_tensor_value_info(f"out_{n}", TensorProto.FLOAT, None) for n in range(branches)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(2).normal(0.3, 1.7, (1, CHANNELS, POINTS)).astype(np.float32)
    return list(session.run(None, {"x": x}))


@pytest.mark.parametrize(("branches", "whole"), [(1, 1), (3, 0)])
def test_snakes_give_the_same_in_fewer_passes(branches: int, whole: int) -> None:
    """After a normalisation of their own, and after one that several blocks share."""
    model = normalised(branches)
    before = run(model)
    graph = Graph(model)
    assert normalisations(graph) == whole
    assert snakes(graph) == branches
    outputs = [each.name for each in model.graph.output]
    rewritten = graph.part([("x", TensorProto.FLOAT, [1, CHANNELS, POINTS])], outputs)
    kinds = [node.op_type for node in rewritten.graph.node]
    assert "Sin" not in kinds
    assert kinds.count("Cos") == branches
    for a, b in zip(before, run(rewritten), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_a_snake_without_a_normalisation_stays() -> None:
    graph = helper.make_graph(
        snake("x", "0"), "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, POINTS])],
        [helper.make_tensor_value_info("out_0", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (("frequency", FREQUENCY), ("inverse", 1 / FREQUENCY))],
    )  # fmt: skip
    assert snakes(Graph(helper.make_model(graph))) == 0
