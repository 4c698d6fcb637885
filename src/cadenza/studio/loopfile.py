"""A WAV file that samplers and DAWs know to be a loop, and how fast it is.

Sources: ``smpl`` chunk, «Multimedia Programming Interface and Data Specifications 1.0» (IBM and
Microsoft 1991) and its 1994 revision; ``acid`` chunk, as libsndfile documents it.
"""

from __future__ import annotations

import struct

from cadenza.tags import add_chunks

FORWARD = 0  # kind of a loop: from start to end, again and again
STRETCHES = 0x04  # flag of acid: follows the tempo of the project
UNTRANSPOSED = 60  # the MIDI note at which a sampler plays it as it is


def with_loop_points(
    wav: bytes, samples: int, rate: int, *, bars: int, meter: int, tempo: float
) -> bytes:
    """A WAV file that says: all of ``samples`` is one loop of so many bars at ``tempo``."""
    loop = struct.pack("<6I", 0, FORWARD, 0, samples - 1, 0, 0)  # the last sample is within it
    head = struct.pack("<9I", 0, 0, round(1e9 / rate), UNTRANSPOSED, 0, 0, 0, 1, 0)
    beats = bars * meter
    acid = struct.pack("<IHHfIHHf", STRETCHES, UNTRANSPOSED, 0x8000, 0, beats, 4, meter, tempo)
    return add_chunks(wav, {b"smpl": head + loop, b"acid": acid})
