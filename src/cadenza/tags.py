"""Text inside a sound file: what made it, for people and for programs.

FLAC, Ogg and Opus hold UTF-8 Vorbis comments, which libsndfile writes well. It cuts the texts of
WAV and writes those of MP3 in the wrong alphabet, so those two are written here: a ``LIST INFO``
chunk (RIFF, Microsoft 1991; UTF-8 as most players read it) and an ID3v2.4 tag
(id3.org, «id3v2.4.0-structure»).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import soundfile

# libsndfile cannot open an Opus file whose comments pass about 50 kB.
MAX_BYTES = 40_000


@dataclass(frozen=True)
class Tags:
    """What a file says about itself."""

    title: str = ""
    comment: str = ""
    software: str = ""

    @property
    def size(self) -> int:
        """Bytes, at most ``MAX_BYTES`` to fit every format."""
        return sum(len(text.encode()) for text in (self.title, self.comment, self.software))


def set_comments(file: soundfile.SoundFile, tags: Tags) -> None:
    """Give an open FLAC, Ogg or Opus file its Vorbis comments, before any sound is written."""
    file.title, file.comment, file.software = tags.title, tags.comment, tags.software


def add_riff_info(wav: bytes, tags: Tags) -> bytes:
    """A WAV file with a ``LIST INFO`` chunk behind its sound."""
    texts = ((b"INAM", tags.title), (b"ICMT", tags.comment), (b"ISFT", tags.software))
    info = b"".join(_chunk(name, text.encode() + b"\0") for name, text in texts if text)
    return add_chunks(wav, {b"LIST": b"INFO" + info})


def add_chunks(wav: bytes, chunks: Mapping[bytes, bytes]) -> bytes:
    """A WAV file with more chunks behind its sound, where every reader finds them by walking."""
    more = b"".join(_chunk(name, data) for name, data in chunks.items())
    body = wav[8:] + b"\0" * (len(wav) % 2) + more
    return wav[:4] + struct.pack("<I", len(body)) + body


def add_id3(mp3: bytes, tags: Tags) -> bytes:
    """An MP3 file with an ID3v2.4 tag before its sound."""
    utf8 = b"\x03"
    frames = b"".join(
        name + _syncsafe(len(head) + len(text.encode())) + b"\0\0" + head + text.encode()
        for name, head, text in (
            (b"TIT2", utf8, tags.title),
            (b"COMM", utf8 + b"und\0", tags.comment),  # language unknown, no description
            (b"TSSE", utf8, tags.software),
        )
        if text
    )
    return b"ID3\x04\0\0" + _syncsafe(len(frames)) + frames + mp3


def read_tags(path: str | os.PathLike[str]) -> Tags:
    """The tags of a sound file; empty where it has none.

    Raises:
        soundfile.LibsndfileError: this is not a sound file.
    """
    with soundfile.SoundFile(os.fspath(path)) as file:
        if file.format not in ("WAV", "WAVEX"):
            return Tags(file.title, file.comment, file.software)
    with open(path, "rb") as wav:
        return _read_riff_info(wav)


def _read_riff_info(wav: BinaryIO) -> Tags:
    texts = {}
    wav.seek(12)  # past RIFF, its size and WAVE
    while len(head := wav.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        end = wav.tell() + size + size % 2
        if name == b"LIST" and wav.read(4) == b"INFO":
            while wav.tell() < end and len(head := wav.read(8)) == 8:
                name, size = struct.unpack("<4sI", head)
                text = wav.read(size + size % 2)[:size]
                texts[name] = text.rstrip(b"\0").decode(errors="replace")
        wav.seek(end)
    return Tags(texts.get(b"INAM", ""), texts.get(b"ICMT", ""), texts.get(b"ISFT", ""))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _syncsafe(number: int) -> bytes:
    """28 bits, seven to a byte, so that a tag never looks like the start of MPEG sound."""
    return bytes((number >> shift) & 127 for shift in (21, 14, 7, 0))
