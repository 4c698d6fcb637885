"""MusicGen on CPUs by OpenVINO: text encoder, decoder and codec as graphs on rounded weights.

A checkpoint is converted once (``convert.py``, the only part that loads torch) into the user's
cache folder (``cache.py``), and its graphs are built from there (``loading.py``).
"""

from cadenza.openvino.cache import Conversion, cache_folder, clear, conversions
from cadenza.openvino.loading import load_machine
from cadenza.openvino.runtime import PRECISIONS, available

__all__ = [
    "PRECISIONS",
    "Conversion",
    "available",
    "cache_folder",
    "clear",
    "conversions",
    "load_machine",
]
