"""What goes into the engine and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from cadenza.types import Conditioning, IntArray, Sampling


@dataclass(frozen=True, eq=False)
class Request:
    """A wish for ``frames`` new frames; ``None`` goes on until it is cancelled, and hears its own
    beginning again in every window (:mod:`cadenza.engine.anchor`).

    ``unconditional`` is what guidance pushes away from: nothing, or the negative prompt; it is
    needed when ``sampling.guidance`` is above 1 and not used otherwise. ``beginning [K, T0]`` are
    frames that the new ones continue.
    """

    conditioning: Conditioning
    unconditional: Conditioning | None
    sampling: Sampling
    frames: int | None
    beginning: IntArray | None = None


@dataclass(frozen=True, eq=False)
class Emission:
    """New frames ``ids [K, n]`` of request ``id``; ``done`` with the last of them."""

    id: int
    ids: IntArray
    done: bool
