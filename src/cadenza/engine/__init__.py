"""Conditioning in, codes out. The engine speaks ids only, never text or waveforms.

``Engine`` (requests that join and leave) on a ``Backend`` (where the decoder runs); the phases are
``prefill`` and ``decode_one_step``.
"""

from cadenza.engine.backend import Backend, Shape
from cadenza.engine.engine import OVERLAP, WINDOW, Engine
from cadenza.engine.mix import Mix
from cadenza.engine.request import Emission, Request
from cadenza.engine.torch_backend import TorchBackend

__all__ = [
    "OVERLAP",
    "WINDOW",
    "Backend",
    "Emission",
    "Engine",
    "Mix",
    "Request",
    "Shape",
    "TorchBackend",
]
