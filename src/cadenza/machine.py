"""A checkpoint made ready to play, on whichever back end: what a :class:`cadenza.Model` drives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cadenza.codecstream import StreamingCodec
from cadenza.engine import Backend
from cadenza.types import Audio, Conditioning, ModelIdentity


@dataclass(frozen=True, eq=False)
class Machine:
    backend: Backend
    codec: StreamingCodec
    # A text and a tune to what the decoder reads; only the melody family takes a tune.
    condition: Callable[[str | None, Audio | None], Conditioning]
    unconditional: Callable[[Conditioning], Conditioning]  # what guidance sets against another
    family: Literal["text", "melody"]
    identity: ModelIdentity
    kind: Literal["torch", "openvino"]
    device: str
    precision: str
