"""Sound to bytes that a player understands while more is being made.

libsndfile writes mp3 and flac frame by frame; what it would write back into the head at the end
(the length) is left out, as it is for every stream. The pages of Ogg it would keep for a second, so
it is told how much sound one may hold, which it heeds for Opus alone.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from cadenza.audio import FORMATS, wav_header

StreamFormat = Literal["wav", "mp3", "flac", "opus"]
MEDIA_TYPES: dict[StreamFormat, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/ogg",
}
PAGE_MILLISECONDS = 100.0  # of sound in a page of Ogg
SET_PAGE_LATENCY = 0x1302  # SFC_SET_OGG_PAGE_LATENCY_MS of libsndfile; soundfile does not name it


class Encoder(Protocol):
    def push(self, pcm: bytes) -> bytes:
        """Take interleaved 16-bit samples, return what can be sent by now."""
        ...

    def finish(self) -> bytes:
        """The rest."""
        ...


def encoder(format: StreamFormat, rate: int, channels: int) -> Encoder:
    """A new encoder for one stream."""
    if format == "wav":
        return _Wav(rate, channels)
    if format == "opus":
        return _Opus(rate, channels)
    return _Sndfile(format, rate, channels)


class _Wav:
    def __init__(self, rate: int, channels: int) -> None:
        self._head = wav_header(rate, channels)

    def push(self, pcm: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + pcm

    def finish(self) -> bytes:
        return self._head


class _Sndfile:
    def __init__(self, format: str, rate: int, channels: int) -> None:
        chosen = FORMATS[format]
        self._out = _Onward()
        self._channels = channels
        constant = {"bitrate_mode": "CONSTANT"} if format == "mp3" else {}
        self._file = soundfile.SoundFile(
            self._out, "w", rate, channels, chosen.subtype, format=chosen.container, **constant
        )

    def push(self, pcm: bytes) -> bytes:
        self._write(np.frombuffer(pcm, "<i2").reshape(-1, self._channels))
        return self._out.take()

    def finish(self) -> bytes:
        self._file.close()
        return self._out.take()

    def _write(self, samples: NDArray[np.int16]) -> None:
        self._file.write(samples)


class _Opus(_Sndfile):
    """At 48 kHz, the rate that Opus counts in."""

    def __init__(self, rate: int, channels: int) -> None:
        opus_rate = FORMATS["opus"].rates[-1]
        super().__init__("opus", opus_rate, channels)
        self._resampler = soxr.ResampleStream(rate, opus_rate, channels, dtype="int16")
        latency = soundfile._ffi.new("double *", PAGE_MILLISECONDS)
        size = soundfile._ffi.sizeof("double")
        soundfile._snd.sf_command(self._file._file, SET_PAGE_LATENCY, latency, size)

    def finish(self) -> bytes:
        rest = np.zeros((0, self._channels), np.int16)
        self._file.write(self._resampler.resample_chunk(rest, last=True))
        return super().finish()

    def _write(self, samples: NDArray[np.int16]) -> None:
        self._file.write(self._resampler.resample_chunk(samples))


class _Onward:
    """A file that only grows: what is appended can be taken, what is written elsewhere is lost."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = self._end = 0

    def write(self, data: bytes) -> int:
        content = bytes(data)
        if self._at == self._end:
            self._parts.append(content)
            self._end += len(content)
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, self._end)[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
