"""Conditioning in, codes out. The engine speaks ids only, never text or waveforms.

``Engine`` (requests that join and leave) on a ``Backend`` (where the decoder runs); the phases are
``prefill`` and ``decode_one_step``. The torch back end is loaded when it is asked for, since torch
takes seconds to load.
"""

from typing import TYPE_CHECKING

from cadenza.engine.backend import MANY_THREADS_WIDTH, Backend, Shape
from cadenza.engine.engine import OVERLAP, WINDOW, Engine
from cadenza.engine.mix import Mix, alone, log_weights, parts_of
from cadenza.engine.request import Emission, Request
from cadenza.engine.shared import SharedBackend

if TYPE_CHECKING:
    from cadenza.engine.torch_backend import TorchBackend

__all__ = [
    "MANY_THREADS_WIDTH",
    "OVERLAP",
    "WINDOW",
    "Backend",
    "Emission",
    "Engine",
    "Mix",
    "Request",
    "Shape",
    "SharedBackend",
    "TorchBackend",
    "alone",
    "log_weights",
    "parts_of",
]


def __getattr__(name: str) -> object:
    if name == "TorchBackend":
        from cadenza.engine.torch_backend import TorchBackend

        return TorchBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
