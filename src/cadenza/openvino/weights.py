"""Weights as they are kept for OpenVINO: named arrays, products rounded to few bits, one file.

A product's weight ``[O, I]`` named ``n`` is kept as one of

- ``n``: float32;
- ``n.bf16``: the upper halves of float32, rounded, as uint16;
- ``n.i8 [O, I]`` with ``n.scale [O, 1]``: one scale an output;
- ``n.u4 [O, I / 2]``, two numbers a byte, low half first, 8 is zero, with ``n.scale [O, I / g]``:
  one scale for ``g`` inputs.

The file is safetensors, mapped into memory when it is opened.
"""

from __future__ import annotations

import json
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
SHRINKS = np.linspace(0.75, 1.0, 11, dtype=np.float32)  # of the scale, tried in int4
_TYPES = {"F32": "<f4", "F16": "<f2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "I64": "<i8"}


def packed(name: str, weight: FloatArray, precision: str) -> dict[str, Array]:
    """A product's weight ``[O, I]`` in one of the ways above.

    int4 falls back to int8 where the inputs cannot be grouped.
    """
    if precision == "fp32":
        return {name: weight}
    if precision == "bf16":
        return {f"{name}.bf16": to_bf16(weight)}
    group = next((g for g in (GROUP, 32, 16) if weight.shape[1] % g == 0), None)
    if precision == "int8" or group is None:
        largest = np.abs(weight).max(axis=1, keepdims=True)
        scale = _scale(largest / 127)
        return {
            f"{name}.i8": np.rint(weight / scale).clip(-127, 127).astype(np.int8),
            f"{name}.scale": scale.astype(np.float16),
        }
    ids, scales = _round_to_4_bits(weight, group)
    return {f"{name}.u4": ids[:, ::2] | ids[:, 1::2] << 4, f"{name}.scale": scales}


def unpacked(name: str, weights: Weights) -> FloatArray:
    """The product's weight ``[O, I]`` that is computed with."""
    if name in weights:
        return weights[name]
    if f"{name}.bf16" in weights:
        return (weights[f"{name}.bf16"].astype("<u4") << 16).view("<f4")
    scale = weights[f"{name}.scale"].astype(np.float32)
    if f"{name}.i8" in weights:
        return cast(FloatArray, weights[f"{name}.i8"] * scale)
    halves = weights[f"{name}.u4"]
    ids = np.stack([halves & 15, halves >> 4], axis=-1).reshape(len(halves), -1)
    grouped = ids.reshape(*scale.shape, -1).astype(np.float32) - 8
    return cast(FloatArray, (grouped * scale[..., None]).reshape(ids.shape))


def to_bf16(values: FloatArray) -> Array:
    """The upper halves of float32, to the nearest, ties to even."""
    bits = values.astype("<f4").view("<u4")
    return cast(Array, ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2"))


def save(path: Path, weights: Weights) -> None:
    """Write all arrays into one file."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(a) for name, a in weights.items()}, path)


def mapped(path: Path) -> dict[str, Array]:
    """The arrays of a file, read when they are used. (safetensors' own reader copies them.)

    Raises:
        ModelDamaged: it is not whole.
    """
    try:
        data = np.memmap(path, mode="r", dtype=np.uint8)
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(bytes(data[8 : 8 + length]))
        header.pop("__metadata__", None)
        start, arrays = 8 + length, {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            piece = data[start + first : start + last].view(_TYPES[entry["dtype"]])
            arrays[name] = np.asarray(piece.reshape(entry["shape"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelDamaged(f"{path} is damaged ({error}): remove it") from error
    return arrays


def _scale(exact: FloatArray) -> FloatArray:
    """As float16 keeps it, never zero."""
    tiny = float(np.finfo(np.float16).smallest_subnormal)
    return np.maximum(exact, tiny).astype(np.float16).astype(np.float32)


def _round_to_4_bits(weight: FloatArray, group: int) -> tuple[Array, Array]:
    """Ids ``[O, I]`` and float16 scales ``[O, I / group]``, each scale the best of a few."""
    outputs, inputs = weight.shape
    ids = np.empty((outputs, inputs), dtype=np.uint8)
    scales = np.empty((outputs, inputs // group), dtype=np.float16)
    for row in range(0, outputs, 512):  # a large model's product does not fit in memory often
        part = weight[row : row + 512].reshape(-1, inputs // group, group)
        # The largest goes to -8, which has no mirror image on the other side.
        place = np.abs(part).argmax(axis=-1, keepdims=True)
        extreme = np.take_along_axis(part, place, axis=-1) / -8
        best = np.full(extreme.shape, np.inf, dtype=np.float32)
        chosen = np.ones_like(extreme)
        for shrink in SHRINKS:
            scale = (extreme * shrink).astype(np.float16).astype(np.float32)
            scale[scale == 0] = np.finfo(np.float16).smallest_subnormal
            error = np.rint(part / scale).clip(-8, 7) * scale - part
            loss = np.square(error).sum(axis=-1, keepdims=True)
            better = loss < best
            best, chosen = np.where(better, loss, best), np.where(better, scale, chosen)
        rounded = np.rint(part / chosen).clip(-8, 7) + 8
        ids[row : row + 512] = rounded.reshape(-1, inputs).astype(np.uint8)
        scales[row : row + 512] = chosen[..., 0].astype(np.float16)
    return ids, scales
