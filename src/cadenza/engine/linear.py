"""Matrix products with fixed weights, in the fastest form that the device has.

On CPUs, oneDNN with weights packed once beats ``F.linear`` for the few rows of a decoding step (on
an AMD EPYC with AVX-512, 2 rows and 2 threads: 556 to 101 µs for 1024 to 4096 features, 32 to 20 µs
for 256 to 1024), costs the same for 4 rows as for 1, and rounds a row the same however many rows
stand beside it, which ``F.linear`` does not promise.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Linear(Protocol):
    """``x [M, I]`` times weights ``[O, I]`` without bias."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def gelu(self, x: Tensor) -> Tensor:
        """The product, then GELU (exact)."""
        ...

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The product plus ``residual [M, O]``."""
        ...


class PlainLinear:
    """Whatever torch does by itself on the device."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight)

    def gelu(self, x: Tensor) -> Tensor:
        return F.gelu(F.linear(x, self._weight))

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return F.linear(x, self._weight).add_(residual)


class PackedLinear:
    """oneDNN with packed weights. Its operators are those that torch.compile emits on CPUs."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)

    def __call__(self, x: Tensor) -> Tensor:
        return self._pointwise(x, "none")

    def gelu(self, x: Tensor) -> Tensor:
        return self._pointwise(x, "gelu")

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        return self._pointwise(x, "none").add_(residual)

    def _pointwise(self, x: Tensor, operation: str) -> Tensor:
        if len(x) == 1:  # a lone row takes another kernel, with other rounding
            return self._pointwise(x.expand(2, -1).contiguous(), operation)[:1]
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._weight, None, operation, [], "none"
        )
        return product


def packs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether :class:`PackedLinear` works here."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    try:
        PackedLinear(torch.ones(2, 2, dtype=dtype))(torch.ones(2, 2, dtype=dtype))
    except (AttributeError, RuntimeError):  # no such operator in this build, or not for this dtype
        return False
    return True
