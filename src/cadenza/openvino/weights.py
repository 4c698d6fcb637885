"""Weights as they are kept for OpenVINO: named arrays, products rounded to few bits, one file.

A product's weight ``[O, I]`` named ``n`` is kept as one of

- ``n``: float32;
- ``n.bf16``: the upper halves of float32, rounded, as uint16;
- ``n.i8 [O, I]`` with ``n.scale [O, 1]``: one scale an output;
- ``n.u4 [O, I / 2]``, two numbers a byte, low half first, with ``n.scale [O, I / g]`` and
  ``n.zero [O * I / g / 2]``, two a byte likewise: a scale and the number of zero for ``g`` inputs.

The file is safetensors, mapped into memory when it is opened.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cadenza.errors import ModelDamaged
from cadenza.types import FloatArray

Array = NDArray[Any]
Weights = Mapping[str, Array]

GROUP = 64  # inputs that share a scale in int4
SHRINKS = np.linspace(0.75, 1.0, 6, dtype=np.float32)  # of the scale, tried in int4
_TYPES = {"F32": "<f4", "F16": "<f2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "I64": "<i8"}


def as_array(tensor: Any) -> FloatArray:
    """A tensor of torch."""
    array: FloatArray = tensor.detach().float().cpu().numpy()
    return array


def product(name: str, precision: str, *modules: Any) -> dict[str, Array]:
    """:func:`packed` for linear layers of torch whose outputs follow each other."""
    return packed(name, np.concatenate([as_array(m.weight) for m in modules]), precision)


def packed(name: str, weight: FloatArray, precision: str) -> dict[str, Array]:
    """A product's weight ``[O, I]`` in one of the ways above.

    int4 falls back to int8 where the inputs cannot be grouped.
    """
    if precision == "fp32":
        return {name: weight}
    if precision == "bf16":
        return {f"{name}.bf16": to_bf16(weight)}
    group = next((g for g in (GROUP, 32, 16) if weight.shape[1] % g == 0), 0)
    if precision == "int8" or weight.size // max(group, 1) % 2 or not group:
        largest = np.abs(weight).max(axis=1, keepdims=True)
        scale = _scale(largest / 127)
        return {
            f"{name}.i8": np.rint(weight / scale).clip(-127, 127).astype(np.int8),
            f"{name}.scale": scale.astype(np.float16),
        }
    ids, scales, zeros = _round_to_4_bits(weight, group)
    return {
        f"{name}.u4": _halves(ids),
        f"{name}.scale": scales,
        f"{name}.zero": _halves(zeros.reshape(1, -1))[0],
    }


def to_bf16(values: FloatArray) -> Array:
    """The upper halves of float32, to the nearest, ties to even."""
    bits = values.astype("<f4").view("<u4")
    return cast(Array, ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2"))


def save(path: Path, weights: Weights) -> None:
    """Write all arrays into one file.

    Raises:
        OSError: no room, or a place that cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file({name: np.ascontiguousarray(a) for name, a in weights.items()}, path)
    except SafetensorError as error:  # what a full disk is to safetensors
        raise OSError(str(error)) from error


class Mapped(dict[str, Array]):
    """The arrays of a file, read when they are used. (safetensors' own reader copies them.)"""

    def __init__(self, arrays: dict[str, Array], pages: mmap.mmap) -> None:
        super().__init__(arrays)
        self._pages = pages

    def forget(self) -> None:
        """Give back the memory of what was read; it is read again if it is needed again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._pages.madvise(mmap.MADV_DONTNEED)


def mapped(path: Path) -> Mapped:
    """The arrays of a file of :func:`save`.

    Raises:
        ModelDamaged: it is not whole.
    """
    try:
        with path.open("rb") as file:  # a private mapping: the runtime refuses read-only arrays
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        data = np.frombuffer(pages, dtype=np.uint8)
        (length,) = struct.unpack("<Q", bytes(data[:8]))
        header = json.loads(bytes(data[8 : 8 + length]))
        header.pop("__metadata__", None)
        start, arrays = 8 + length, {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            piece = data[start + first : start + last].view(_TYPES[entry["dtype"]])
            arrays[name] = np.asarray(piece.reshape(entry["shape"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelDamaged(f"{path} is damaged ({error}): remove it") from error
    return Mapped(arrays, pages)


def _halves(ids: Array) -> Array:
    """Two numbers a byte, of an even number of columns."""
    return cast(Array, ids[:, ::2] | ids[:, 1::2] << 4)


def _scale(exact: FloatArray) -> FloatArray:
    """As float16 keeps it, never zero."""
    tiny = float(np.finfo(np.float16).smallest_subnormal)
    return np.maximum(exact, tiny).astype(np.float16).astype(np.float32)


def _round_to_4_bits(weight: FloatArray, group: int) -> tuple[Array, FloatArray, Array]:
    """Ids ``[O, I]``, float16 scales and the ids of zero ``[O, I / group]``, the best of a few."""
    outputs, inputs = weight.shape
    ids = np.empty((outputs, inputs), dtype=np.uint8)
    scales = np.empty((outputs, inputs // group), dtype=np.float16)
    zeros = np.empty(scales.shape, dtype=np.uint8)
    for row in range(0, outputs, 256):  # a large model's product takes much memory
        part = weight[row : row + 256].reshape(-1, inputs // group, group)
        low, high = part.min(axis=-1, keepdims=True), part.max(axis=-1, keepdims=True)
        least = np.full(low.shape, np.inf, dtype=np.float32)
        best = np.zeros_like(part), low, low
        for shrink in SHRINKS:
            scale = _scale((high - low) * (shrink / 15))
            zero = np.rint(7.5 - (high + low) / (2 * scale)).clip(0, 15)
            rounded = np.rint(part / scale + zero).clip(0, 15)
            loss = np.square((rounded - zero) * scale - part).sum(axis=-1, keepdims=True)
            better, least = loss < least, np.minimum(loss, least)
            found = (rounded, scale, zero)
            best = tuple(np.where(better, new, old) for new, old in zip(found, best, strict=True))
        ids[row : row + 256] = best[0].reshape(-1, inputs)
        scales[row : row + 256], zeros[row : row + 256] = best[1][..., 0], best[2][..., 0]
    return ids, scales, zeros
