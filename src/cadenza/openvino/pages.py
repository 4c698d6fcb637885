"""The pages that keys and values lie in, and who has which.

The tensors are made as large as the voices need, and larger when more are needed. What nobody has
written to takes no memory: the system gives it on first use.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from cadenza.openvino.decoder import PAGE
from cadenza.openvino.runtime import openvino
from cadenza.types import IntArray


class Pages:
    """Pages of every layer, numbered alike; a page holds ``PAGE`` places of one row.

    Args:
        compiled: the decoder, whose inputs ``keys.n`` and ``values.n`` say what a page looks like.
    """

    def __init__(self, compiled: Any) -> None:
        ports = [(port.get_any_name(), port) for port in compiled.inputs]
        self._ports = {n: p for n, p in ports if n.startswith(("keys.", "values."))}
        self._free: list[int] = []
        self.count = 0
        self.tensors: dict[str, Any] = {}
        self._bytes: dict[str, Any] = {}  # what the tensors lie in

    def take(self, places: int) -> IntArray:
        """Pages for so many places of a row; the tensors may be others afterwards."""
        needed = -(-places // PAGE)
        if len(self._free) < needed:
            self._grow(max(needed - len(self._free), self.count // 2))
        return np.array([heapq.heappop(self._free) for _ in range(needed)], dtype=np.int32)

    def give_back(self, pages: IntArray) -> None:
        for page in pages.tolist():
            heapq.heappush(self._free, page)

    def _grow(self, more: int) -> None:
        ov, before = openvino(), self.count
        self.count += more
        for page in range(before, self.count):
            heapq.heappush(self._free, page)
        for name, port in self._ports.items():
            sizes = [size.get_length() for size in list(port.get_partial_shape())[1:]]
            kind = port.get_element_type()
            raw = np.zeros((self.count, int(np.prod(sizes)) * kind.size), dtype=np.uint8)
            if name in self.tensors:
                raw[:before] = self._bytes[name][:before]
            self._bytes[name] = raw
            self.tensors[name] = ov.Tensor(raw, ov.Shape([self.count, *sizes]), kind)
