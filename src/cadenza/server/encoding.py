"""Sound to bytes that a player understands while more is being made.

libsndfile writes mp3 and flac frame by frame; what it would write back into the head at the end
(the length) is left out, as it is for every stream. Ogg is not here: libsndfile keeps its pages for
several seconds.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import soundfile

from cadenza.audio import FORMATS, wav_header

StreamFormat = Literal["wav", "mp3", "flac"]
MEDIA_TYPES: dict[StreamFormat, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
}


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
        self._file.write(np.frombuffer(pcm, "<i2").reshape(-1, self._channels))
        return self._out.take()

    def finish(self) -> bytes:
        self._file.close()
        return self._out.take()


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
