"""Sound in blocks: regrouped, resampled, channels put together and taken apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from cadenza.types import FloatArray


class Samples:
    """Blocks ``[..., n]`` of any length, taken in others."""

    def __init__(self, blocks: Iterator[FloatArray]) -> None:
        self._blocks = blocks
        self._rest = next(blocks)

    def take(self, count: int) -> FloatArray:
        """The next ``count`` samples, or as many as are left."""
        parts = [self._rest]
        while sum(part.shape[-1] for part in parts) < count:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
        whole = np.concatenate(parts, axis=-1)
        self._rest = whole[..., count:]
        return whole[..., :count]


def resampled(blocks: Iterator[FloatArray], rate: int, to: int) -> Iterator[FloatArray]:
    """Blocks ``[C, n]`` at another rate."""
    if rate == to:
        yield from blocks
        return
    stream = None
    for block in blocks:
        if stream is None:
            stream = soxr.ResampleStream(rate, to, len(block), dtype="float32", quality="HQ")
            channels = len(block)
        yield stream.resample_chunk(np.ascontiguousarray(block.T)).T
    if stream is not None:
        yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).T


def grouped(block: FloatArray, width: int) -> FloatArray:
    """Channels ``[C, n]`` as ``[groups, width, n]``; the last one fills up its group."""
    groups = -(-len(block) // width)
    index = np.minimum(np.arange(groups * width), len(block) - 1)
    return block[index].reshape(groups, width, -1)


def ungrouped(part: FloatArray, channels: int) -> FloatArray:
    """``[groups, sources, width, n]`` back to ``[sources, C, n]``, what filled up averaged."""
    groups, sources, width, frames = part.shape
    flat = part.swapaxes(0, 1).reshape(sources, groups * width, frames)
    last = flat[:, channels - 1 :].mean(axis=1, keepdims=True)
    return np.concatenate([flat[:, : channels - 1], last], axis=1)


def shifted(values: FloatArray, frames: int) -> FloatArray:
    """``values [..., N]`` moved to the front by so many, zeros behind."""
    moved = np.zeros_like(values)
    moved[..., :-frames] = values[..., frames:]
    return moved
