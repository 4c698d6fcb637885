"""The network of a critic, in numpy: it has to be there before torch could be imported.

It is that of ``training/critic/network.py``, which it is taught as; a test holds one against the
other. Matrices are kept in eight bits, a scale for each row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cadenza.types import FloatArray, IntArray

KEYS = 24
LEVEL = 8.0  # the length that every frame's vector is brought to
SCALE = "|scale"  # what the scales of a matrix are called after its name
PULSE_FRAMES = 51  # of the mean that onsets are heard against
SPECTRUM = 8192  # points

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Told:
    """What is heard in ``B`` sounds, as logarithms of probabilities."""

    tempo: FloatArray  # [B, tempi]
    key: FloatArray  # [B, 24], tonic, + 12 for minor
    lead: FloatArray  # [B, families]
    drums: FloatArray  # [B, 2]: none, some
    alone: FloatArray  # [B, 2]: several, one


class CriticNetwork:
    """Codes ``[B, K, T]`` to :class:`Told`.

    Args:
        weights: as :func:`pack` makes them.
        codebooks: of the codec, ``[K, size, dim]``.
        tempi: what the tempo network looks at, beats a minute, evenly spaced in their logarithm.
        told: the slice of them that is told.
        frame_rate: of the codec.
    """

    def __init__(
        self,
        weights: Weights,
        codebooks: FloatArray,
        tempi: NDArray[np.float64],
        told: slice,
        frame_rate: float,
    ) -> None:
        self._weights = {
            name: np.asarray(weight, np.float32) * _scale_of(weights, name, weight.ndim)
            for name, weight in weights.items()
            if not name.endswith(SCALE)
        }
        self._codebooks, self._told = np.asarray(codebooks, np.float32), told
        self._lags = 60 / tempi * frame_rate
        self._places = tempi / 60 / frame_rate * SPECTRUM
        self.tempi = tempi[told]
        outlet = len(self._weights["outlet.5.bias"])
        self._parts = np.cumsum([KEYS, outlet - KEYS - 4, 2])
        self._blocks = sorted({name.split(".")[1] for name in weights if name[:7] == "blocks."})

    def __call__(self, codes: IntArray) -> Told:
        latent = np.zeros((*codes.shape[::2], self._codebooks.shape[2]), np.float32)
        for book, ids in zip(self._codebooks, np.swapaxes(codes, 0, 1), strict=True):
            latent += book[ids]
        size = np.linalg.norm(latent, axis=2, keepdims=True)
        x = np.swapaxes(latent * (LEVEL / np.maximum(size, 1e-12)), 1, 2)
        tempo = self._tempo(np.maximum(self._onsets(x), 0))
        x = self._convolve(x, "inlet", 1, stride=2)
        for block in self._blocks:
            x = self._block(x, f"blocks.{block}")
        spread = x.std(2, ddof=1)
        seen = self._norm(np.concatenate([x.mean(2), x.max(2), spread], 1), "outlet.0")
        told = self._linear(_gelu(self._linear(seen, "outlet.2")), "outlet.5")
        key, lead, drums, alone = np.split(told, self._parts, 1)
        return Told(*(_log_softmax(part) for part in (tempo, key, lead, drums, alone)))

    def _onsets(self, x: FloatArray) -> FloatArray:
        return self._convolve(_gelu(self._convolve(x, "onsets.0", 2)), "onsets.2", 1)

    def _tempo(self, curves: FloatArray) -> FloatArray:
        frames = curves.shape[2]
        curves = curves - _local_mean(curves, PULSE_FRAMES)
        power = np.abs(np.fft.rfft(curves, 2 * frames)) ** 2
        again = np.fft.irfft(power, 2 * frames)[..., :frames]
        overlap = np.maximum(frames - np.arange(frames), frames // 5) / frames
        again = again / (again[..., :1] + 1e-4) / overlap
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / frames)
        spectrum = _at(np.abs(np.fft.rfft(curves * window, SPECTRUM)), self._places)
        spectrum *= 10 / (np.linalg.norm(spectrum, axis=2, keepdims=True) + 1e-4)
        x = np.concatenate([_at(again, self._lags), spectrum], 1).astype(np.float32)
        x = _gelu(self._convolve(x, "tempo.inlet", 4))
        for number, reach in enumerate((2, 6, 12)):
            name = f"tempo.blocks.{number}"
            x = x + _gelu(self._convolve(x, name, 4 * reach, dilation=reach))
        logits = self._convolve(x, "tempo.outlet", 2)[:, 0] + self._weights["tempo.likely"]
        return np.asarray(logits[:, self._told])

    def _block(self, x: FloatArray, name: str) -> FloatArray:
        """ConvNeXt's, see :class:`cadenza.framecodec.ConvNeXtBlock`."""
        kernel, bias = self._weights[f"{name}.mix.weight"][:, 0], self._weights[f"{name}.mix.bias"]
        margin, frames = kernel.shape[1] // 2, x.shape[2]
        padded = np.pad(x, ((0, 0), (0, 0), (margin, margin)))
        mixed = bias[:, None] + sum(
            kernel[:, tap, None] * padded[..., tap : tap + frames] for tap in range(kernel.shape[1])
        )
        y = self._norm(np.swapaxes(mixed, 1, 2), f"{name}.norm")
        y = self._linear(_gelu(self._linear(y, f"{name}.up")), f"{name}.down")
        return np.asarray(x + np.swapaxes(y * self._weights[f"{name}.scale"], 1, 2))

    def _convolve(
        self, x: FloatArray, name: str, margin: int, stride: int = 1, dilation: int = 1
    ) -> FloatArray:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        reach = dilation * (weight.shape[2] - 1) + 1
        padded = np.pad(x, ((0, 0), (0, 0), (margin, margin)))
        views = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=2)
        views = views[:, :, ::stride, ::dilation]  # [B, C, T, taps]
        flat = np.swapaxes(views, 1, 2).reshape(len(x), views.shape[2], -1)
        return np.swapaxes(flat @ weight.reshape(len(weight), -1).T + bias, 1, 2)

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        return np.asarray(x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _norm(self, x: FloatArray, name: str) -> FloatArray:
        centred = x - x.mean(-1, keepdims=True)
        x = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return np.asarray(x * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])


def pack(weights: Weights) -> dict[str, NDArray[Any]]:
    """Weights in float32 as a critic's file holds them: matrices in eight bits, with the largest
    of each row as its scale; what is small in half precision."""
    packed: dict[str, NDArray[Any]] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            packed[name] = weight.astype(np.float16)
            continue
        rows = np.abs(weight).reshape(len(weight), -1).max(1)
        scale = (np.maximum(rows, 1e-8) / 127).astype(np.float32)
        packed[name] = np.round(weight / _spread(scale, weight.ndim)).astype(np.int8)
        packed[name + SCALE] = scale
    return packed


def _scale_of(weights: Weights, name: str, dimensions: int) -> FloatArray | float:
    """What the rows of a matrix are to be multiplied with."""
    if dimensions < 2:
        return 1.0
    return _spread(np.asarray(weights[name + SCALE], np.float32), dimensions)


def _spread(rows: FloatArray, dimensions: int) -> FloatArray:
    return rows.reshape(-1, *[1] * (dimensions - 1))


def _local_mean(x: FloatArray, width: int) -> FloatArray:
    """Of the ``width`` frames around each, of those that there are at the ends."""
    margin = width // 2
    sums = np.pad(x, ((0, 0), (0, 0), (margin + 1, margin))).cumsum(2, dtype=np.float64)
    counts = np.pad(np.ones(x.shape[2]), (margin + 1, margin)).cumsum()
    means = (sums[..., width:] - sums[..., :-width]) / (counts[width:] - counts[:-width])
    return np.asarray(means, np.float32)


def _at(values: FloatArray, places: NDArray[np.float64]) -> FloatArray:
    """``values [..., N]`` at fractional ``places``, between neighbours; beyond the end, the line
    through the last two."""
    left = np.minimum(places.astype(np.int64), values.shape[-1] - 2)
    share = places - left
    return np.asarray(values[..., left] * (1 - share) + values[..., left + 1] * share)


def _gelu(x: FloatArray) -> FloatArray:
    """By the hyperbolic tangent: within 0.001 of the exact one, which numpy does not have."""
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return np.asarray(0.5 * x * (1 + np.tanh(inner)))


def _log_softmax(x: FloatArray) -> FloatArray:
    x = x - x.max(-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))
