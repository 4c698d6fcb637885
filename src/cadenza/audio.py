"""Sound in and out: any file in, every common format out, and what lies between."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from cadenza.errors import AudioError, OptionError, OutputError
from cadenza.files import write_atomically
from cadenza.tags import MAX_BYTES, Tags, add_id3, add_riff_info, set_comments
from cadenza.types import Audio, FloatArray

MAX_SECONDS = 600.0  # of a sound that is read
MAX_VALUES = 2 * 96_000 * 600  # samples times channels: ten minutes of stereo at 96 kHz
BLOCK = 1 << 16  # samples a write: libsndfile's Vorbis encoder keeps a whole write on its stack
SILENCE = 1e-4  # a peak below -80 dB of full scale
QUIETEST_LUFS, LOUDEST_LUFS = -70.0, 0.0  # that anything can be brought to
LOUDEST = 1e10  # of full scale; integers that were never scaled are below, rubbish is above


@dataclass(frozen=True)
class Format:
    """How libsndfile calls a format, the suffix of its files, and its rates if it is choosy."""

    container: str
    subtype: str
    suffix: str
    rates: tuple[int, ...] = ()  # the last one loses nothing of any other


FORMATS = {
    "wav": Format("WAV", "PCM_16", ".wav"),
    "wav24": Format("WAV", "PCM_24", ".wav"),
    "wavfloat": Format("WAV", "FLOAT", ".wav"),
    "flac": Format("FLAC", "PCM_16", ".flac"),
    "mp3": Format(
        "MP3", "MPEG_LAYER_III", ".mp3", (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    ),
    "ogg": Format("OGG", "VORBIS", ".ogg"),
    "opus": Format("OGG", "OPUS", ".opus", (8_000, 12_000, 16_000, 24_000, 48_000)),
}


def read(path: str | os.PathLike[str], max_seconds: float = MAX_SECONDS) -> Audio:
    """Read a sound of any rate and number of channels, in any format that libsndfile knows.

    Raises:
        AudioError: absent, not a sound, empty, damaged, or longer than ``max_seconds``.
    """
    with _explained(path), soundfile.SoundFile(_existing(path)) as file:
        _check_duration(path, file, max_seconds)
        if file.frames * file.channels > MAX_VALUES:
            raise AudioError(
                f"{path} is too large ({file.channels} channels at {file.samplerate} Hz): "
                "make it stereo at 48000 Hz first"
            )
        samples = file.read(dtype="float32", always_2d=True).T
        rate = file.samplerate
    if samples.shape[1] == 0:
        raise AudioError(f"{path} is empty: it holds no sound at all")
    check_numbers(samples, str(path))
    return Audio(np.ascontiguousarray(samples), rate)


@dataclass(frozen=True)
class Extent:
    """How large a sound is: ``rate`` in hertz, ``frames`` samples in each channel."""

    rate: int
    channels: int
    frames: int


def measure(path: str | os.PathLike[str], max_seconds: float) -> Extent:
    """The size of a sound in a file, without reading it.

    Raises:
        AudioError: absent, not a sound, empty, or longer than ``max_seconds``.
    """
    with _explained(path), soundfile.SoundFile(_existing(path)) as file:
        _check_duration(path, file, max_seconds)
        if file.frames == 0:
            raise AudioError(f"{path} is empty: it holds no sound at all")
        return Extent(file.samplerate, file.channels, file.frames)


def read_blocks(path: str | os.PathLike[str]) -> Iterator[FloatArray]:
    """The sound of a file in blocks ``[C, n]``, so that it need not fit into memory.

    Raises:
        AudioError: absent, not a sound, or damaged.
    """
    with _explained(path):
        opened = soundfile.SoundFile(_existing(path))
    with opened as file:
        while True:
            with _explained(path):
                block = file.read(BLOCK, dtype="float32", always_2d=True).T
            if not block.shape[1]:
                return
            check_numbers(block, str(path))
            yield block


def _existing(path: str | os.PathLike[str]) -> str:
    if not Path(path).is_file():
        raise AudioError(f"{path} does not exist or is not a file: check the path")
    return os.fspath(path)


@contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """What libsndfile and the system say of a file, as errors of ours."""
    try:
        yield
    except (soundfile.LibsndfileError, TypeError) as error:
        raise AudioError(
            f"{path} cannot be read as sound: give wav, flac, mp3, ogg, opus or aiff"
        ) from error
    except UnicodeEncodeError as error:
        raise AudioError(f"{path} has bytes in its name that are no text: rename it") from error
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_duration(
    path: str | os.PathLike[str], file: soundfile.SoundFile, max_seconds: float
) -> None:
    seconds = file.frames / file.samplerate
    if seconds > max_seconds:
        raise AudioError(
            f"{path} lasts {seconds:.0f} s, at most {max_seconds:.0f} s are read: cut it first"
        )


def check_numbers(samples: FloatArray, name: str) -> None:
    """Refuse samples that are no sound, whose square may be infinite; ``name`` is what the message
    calls them.

    Raises:
        AudioError: some are not numbers, or beyond ``LOUDEST``.
    """
    if not np.abs(samples).max(initial=0) <= LOUDEST:  # neither is what is not a number
        raise AudioError(
            f"{name} is damaged: some of its samples are not numbers, or absurdly large"
        )


def check_audible(audio: Audio, name: str) -> None:
    """Refuse a sound that says nothing; ``name`` is what the message calls it.

    Raises:
        AudioError: empty, silent or damaged.
    """
    check_numbers(audio.samples, name)
    if audio.samples.shape[1] == 0:
        raise AudioError(f"{name} is empty: it holds no sound at all")
    if audio.peak < SILENCE:
        raise AudioError(f"{name} is silent: its loudest sample is {audio.peak:.6f} of full scale")


def resample(audio: Audio, rate: int) -> Audio:
    """The same sound at another rate (soxr, high quality; its length rounds to whole samples)."""
    if audio.rate == rate:
        return audio
    samples = soxr.resample(audio.samples.T, audio.rate, rate, quality="HQ")
    return Audio(np.ascontiguousarray(samples.T, dtype=np.float32), rate)


def to_channels(audio: Audio, channels: int) -> Audio:
    """Mix to mono by the mean, or give every one of ``channels`` the mono sound."""
    if audio.channels == channels:
        return audio
    mono = audio.samples.mean(axis=0, keepdims=True)
    return Audio(np.repeat(mono, channels, axis=0), audio.rate)


def loudness(audio: Audio) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4); minus infinity for silence."""
    return _loudness(audio)[0]


def momentary_loudness(audio: Audio) -> FloatArray:
    """Loudness in LUFS of the 0.4 s that begin at each tenth of a second (EBU Tech 3341)."""
    return np.array(_loudness(audio)[1], np.float32)


def _loudness(audio: Audio) -> tuple[float, list[float]]:
    import pyloudnorm

    if audio.channels > 5:  # the standard weighs five and knows no more
        audio = to_channels(audio, 1)
    # The standard measures blocks of 0.4 s; a shorter sound is one block, which rounding must not
    # make longer than it is.
    shortest = (audio.samples.shape[1] - 0.5) / audio.rate
    meter = pyloudnorm.Meter(audio.rate, block_size=min(0.4, shortest))
    with np.errstate(divide="ignore"):
        integrated = meter.integrated_loudness(audio.samples.T.astype(np.float64))
    return float(integrated), meter.blockwise_loudness


def check_loudness(lufs: float) -> None:
    """Refuse a loudness that no music has.

    Raises:
        OptionError: outside -70 to 0 LUFS.
    """
    if not QUIETEST_LUFS <= lufs <= LOUDEST_LUFS:
        raise OptionError(f"loudness must be from -70 to 0 LUFS, not {lufs}")


def normalise(audio: Audio, lufs: float) -> Audio:
    """Bring the loudness to ``lufs``, or as near as full scale allows. Silence stays silence.

    Raises:
        OptionError: a loudness outside -70 to 0 LUFS.
    """
    check_loudness(lufs)
    measured = loudness(audio)
    if not np.isfinite(measured):
        return audio
    gain = np.float32(10 ** ((lufs - measured) / 20))
    return within_full_scale(Audio(audio.samples * gain, audio.rate))


def within_full_scale(audio: Audio) -> Audio:
    """Bring the whole piece down if its peak is above full scale; nothing is clipped."""
    if audio.peak <= 1:
        return audio
    return Audio(audio.samples / np.float32(audio.peak), audio.rate)


def soft_limit(samples: FloatArray) -> FloatArray:
    """Bend what passes 0.9 of full scale towards 1, for a stream whose peak is not known yet."""
    knee = np.float32(0.9)
    above = np.maximum(np.abs(samples) - knee, 0)
    bent = np.sign(samples) * (knee + (1 - knee) * np.tanh(above / (1 - knee)))
    return np.where(above > 0, bent, samples).astype(np.float32)


def format_of(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The name in ``FORMATS`` for a path: ``format`` where given, else by the suffix.

    Raises:
        OptionError: unknown, or a format and a suffix that contradict each other.
    """
    suffix = Path(path).suffix.lower()
    by_suffix = {known.suffix: name for name, known in reversed(FORMATS.items())}
    names = ", ".join(FORMATS)
    if format is None:
        if suffix not in by_suffix:
            raise OptionError(f"unknown format {suffix or '(no suffix)'!r}: choose one of {names}")
        return by_suffix[suffix]
    if format not in FORMATS:
        raise OptionError(f"unknown format {format!r}: choose one of {names}")
    if suffix in by_suffix and FORMATS[format].suffix != suffix:
        raise OptionError(f"{Path(path).name} is not a name for the format {format}: drop one")
    return format


def encode(audio: Audio, format: str, tags: Tags | None = None) -> bytes:
    """The content of a sound file, its peak brought down to full scale where it is above.

    Raises:
        OutputError: texts too long for the tags of the format.
    """
    chosen = FORMATS[format]
    if tags and tags.size > MAX_BYTES:
        raise OutputError(f"the tags hold {tags.size} bytes, more than {MAX_BYTES}: shorten them")
    if chosen.rates and audio.rate not in chosen.rates:
        audio = resample(audio, chosen.rates[-1])
    samples = within_full_scale(audio).samples.T
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", audio.rate, audio.channels, chosen.subtype, format=chosen.container
    ) as file:
        if tags and chosen.container in ("FLAC", "OGG"):
            set_comments(file, tags)
        for start in range(0, len(samples), BLOCK):
            file.write(samples[start : start + BLOCK])
    content = buffer.getvalue()
    if chosen.subtype == "FLOAT":
        content = _timeless(content)
    if tags and chosen.container == "WAV":
        return add_riff_info(content, tags)
    if tags and chosen.container == "MP3":
        return add_id3(content, tags)
    return content


def _timeless(wav: bytes) -> bytes:
    """Without the time of day that libsndfile puts into ``PEAK``: equal sounds are equal files."""
    place = wav.index(b"PEAK") + 12  # past its name, size and version
    return wav[:place] + bytes(4) + wav[place + 4 :]


def write(
    audio: Audio,
    path: str | os.PathLike[str],
    format: str | None = None,
    tags: Tags | None = None,
) -> Path:
    """Write a sound file, whole or not at all.

    Raises:
        OptionError: an unknown format.
        OutputError: it cannot be written there; a file that was there before is kept.
    """
    return write_atomically(path, encode(audio, format_of(path, format), tags))


def wav_header(rate: int, channels: int) -> bytes:
    """The head of a 16-bit WAV whose length is not known: both sizes say «to the end»."""
    unknown = 0xFFFFFFFF
    block = 2 * channels
    return (
        struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * block, block, 16)
        + struct.pack("<4sI", b"data", unknown)
    )


def pcm16(audio: Audio) -> bytes:
    """Interleaved little-endian 16-bit samples of one chunk of a stream, softly limited."""
    return (soft_limit(audio.samples).T * 32767).round().astype("<i2").tobytes()
