"""Graph: the nodes of an ONNX model, to be replaced and to be divided into models of their own.

Needs the package `onnx`, as all that `dividing` uses does; `rewriting` runs it in a process of its own.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

#: Name, type and shape of each input of a model.
Inputs = Sequence[tuple[str, int, Sequence[int | str]]]


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

    def part(self, inputs: Inputs, outputs: Sequence[str]) -> ModelProto:
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
