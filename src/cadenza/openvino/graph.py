"""Graphs for OpenVINO, written down operation by operation on weights that lie in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cadenza.openvino.runtime import openvino, opset
from cadenza.openvino.weights import Weights

Node = Any  # openvino.Node has no types of its own


class Graph:
    """Collects inputs and results; ``weights`` must outlive what is compiled from it."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._inputs: list[Node] = []
        self.op = opset()

    def input(self, name: str, shape: Sequence[int], kind: str = "f32") -> Node:
        """``-1`` in a shape is any length; the kind ``dynamic`` leaves type and shape open."""
        ov = openvino()
        sizes = [-1] * len(shape) if kind == "dynamic" else list(shape)
        node = self.op.parameter(ov.PartialShape(sizes), getattr(ov.Type, kind), name=name)
        node.output(0).set_names({name})
        self._inputs.append(node)
        return node

    def model(self, **results: Node) -> Any:
        """The whole graph with its results by name."""
        made = []
        for name, node in results.items():
            result = self.op.result(node)
            result.output(0).set_names({name})
            made.append(result)
        return openvino().Model(made, self._inputs, "cadenza")

    def has(self, name: str) -> bool:
        return name in self._weights

    def constant(self, value: Any, dtype: Any = None) -> Node:
        return self.op.constant(np.asarray(value, dtype=dtype))

    def weight(self, name: str) -> Node:
        """An array of the file as it is, float32 in the graph."""
        array = self._weights[name]
        if array.dtype == np.float16:
            return self._float(self._shared(array))
        return self._shared(array)

    def linear(self, x: Node, name: str) -> Node:
        """``[..., I]`` to ``[..., O]`` by the product ``name``, and its bias if there is one."""
        made = self.op.matmul(x, self._product(name), False, True)
        return self.op.add(made, self.weight(f"{name}.bias")) if self.has(f"{name}.bias") else made

    def norm(self, x: Node, name: str, epsilon: float = 1e-5) -> Node:
        """Layer normalisation over the last axis (torch's default epsilon)."""
        x = self.op.mvn(x, self.constant([-1]), True, epsilon, "INSIDE_SQRT")
        return self.op.add(self.op.multiply(x, self.weight(name)), self.weight(f"{name}.bias"))

    def reshape(self, x: Node, *sizes: int | Node) -> Node:
        """``sizes`` may hold one -1, and nodes of one number each."""
        if all(isinstance(size, int) for size in sizes):
            return self.op.reshape(x, self.constant(sizes, np.int64), False)
        parts = [self.constant([s], np.int64) if isinstance(s, int) else s for s in sizes]
        return self.op.reshape(x, self.op.concat(parts, 0), False)

    def transpose(self, x: Node, *order: int) -> Node:
        return self.op.transpose(x, self.constant(order, np.int64))

    def length(self, x: Node, axis: int) -> Node:
        """How long ``x`` is along ``axis``, a node of one number."""
        return self.op.gather(self.op.shape_of(x), self.constant([axis]), self.constant(0))

    def split(self, x: Node, parts: int, axis: int = -1) -> list[Node]:
        return list(self.op.split(x, self.constant(axis), parts).outputs())

    def _product(self, name: str) -> Node:
        """The weight ``[O, I]`` in the shape that the runtime knows to compute with as it is."""
        if self.has(name):
            return self.weight(name)
        ov, op = openvino(), self.op
        if self.has(f"{name}.bf16"):
            halves = self._weights[f"{name}.bf16"]
            tensor = ov.Tensor(halves, ov.Shape(halves.shape), ov.Type.bf16)
            return self._float(op.constant(tensor, shared_memory=True))
        scale = self._weights[f"{name}.scale"]
        if self.has(f"{name}.i8"):
            ids = self._float(self._shared(self._weights[f"{name}.i8"]))
            return op.multiply(ids, self._float(self._shared(scale)))
        packed = self._weights[f"{name}.u4"]
        outputs, groups = scale.shape
        group = packed.shape[1] * 2 // groups
        tensor = ov.Tensor(packed, ov.Shape([outputs, groups, group]), ov.Type.u4)
        ids = self._float(op.constant(tensor, shared_memory=True))
        zeros = ov.Tensor(self._weights[f"{name}.zero"], ov.Shape([outputs, groups, 1]), ov.Type.u4)
        zero = self._float(op.constant(zeros, shared_memory=True))
        scales = self._float(self._shared(scale[..., None]))
        made = op.multiply(op.subtract(ids, zero), scales)
        return op.reshape(made, self.constant([outputs, groups * group], np.int64), False)

    def _shared(self, array: Any) -> Node:
        return self.op.constant(np.ascontiguousarray(array), shared_memory=True)

    def _float(self, node: Node) -> Node:
        return self.op.convert(node, "f32")
