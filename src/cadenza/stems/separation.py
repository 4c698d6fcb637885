"""A piece through Demucs, part by part, so that its length does not matter to the memory.

Rouard et al. 2023, «Hybrid transformers for music source separation» (arXiv:2211.08553). What comes
out equals what Demucs makes of the whole piece at once (``demucs.api.Separator`` without its random
shifts): the same segments, cross-faded in the same way, normalised by the mean and deviation of the
whole piece, which is therefore read twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cadenza.audio import BLOCK, SILENCE, Extent, check_audible, measure, read_blocks
from cadenza.devices import choose_device
from cadenza.errors import AudioError
from cadenza.stems.blocks import Samples, grouped, resampled, shifted, ungrouped
from cadenza.stems.network import check_installed, load, run
from cadenza.stems.weights import MODELS, MORE_STEMS, STEMS, check_stem, find
from cadenza.stems.writing import check_apart, check_room, stem_files
from cadenza.types import Audio, FloatArray, Progress

MAX_SECONDS = 4 * 3600.0  # of a file
OVERLAP = 0.25  # of two segments, as in Demucs
MISSING = 0.1  # seconds that a file may lack of what it says: some encoders count a frame more


def separate(
    audio: Audio,
    model: str = "htdemucs",
    *,
    weights: str | os.PathLike[str] | None = None,
    two: str | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: Progress | None = None,
) -> dict[str, Audio]:
    """Take a sound apart: :func:`load_separator` and :meth:`Separator.separate` in one."""
    separator = load_separator(model, weights=weights, two=two, device=device, offline=offline)
    return separator.separate(audio, two=two, progress=progress)


def load_separator(
    model: str = "htdemucs",
    *,
    weights: str | os.PathLike[str] | None = None,
    two: str | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: Progress | None = None,
) -> Separator:
    """Load a model of Demucs, from the hub or from a folder.

    Args:
        model: ``htdemucs``, ``htdemucs_ft``, ``htdemucs_6s``, or what a folder holds.
        weights: a folder with ``MODEL.yaml`` and the files that this names, or with
            ``MODEL.safetensors`` or ``MODEL.th``. Without it the hub's cache and the hub are asked.
        two: a stem that will be wanted: refused before anything is fetched where a published model
            does not have it.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        offline: never ask the hub.
        progress: called with the bytes of a download, done and in all.

    Raises:
        OptionError: an unknown model, or no such stem.
        ModelError: it is not to be found, damaged, or unsafe to open.
        DeviceError: this machine has no such device.
        MissingPackage: Demucs is not installed.
    """
    check_installed()  # before anything is fetched
    device = choose_device(device)
    if weights is None and model in MODELS:
        check_stem(two, STEMS + MORE_STEMS.get(model, ()))
    folder = find(model, None if weights is None else Path(weights), offline, progress)
    return Separator(load(model, folder), device)


class Separator:
    """A loaded model. One thread at a time may use it."""

    def __init__(self, model: Any, device: str) -> None:  # demucs.apply.BagOfModels
        self._model, self._device = model.to(device), device
        self.sources: tuple[str, ...] = tuple(model.sources)

    def separate(
        self, audio: Audio, *, two: str | None = None, progress: Progress | None = None
    ) -> dict[str, Audio]:
        """The stems by name, each with the rate, channels and length of the sound.

        Args:
            two: only this stem, and ``no_…`` with all the rest; their sum is the sound itself.
            progress: called with segments done and in all; an error it raises ends the work.

        Raises:
            AudioError: empty or silent.
            OptionError: the model has no stem ``two``.
        """
        check_audible(audio, "the sound")
        frames = audio.samples.shape[1]

        def blocks() -> Iterator[FloatArray]:
            for start in range(0, frames, BLOCK):
                yield audio.samples[:, start : start + BLOCK]

        names = self._names(two)
        piece = _Piece("the sound", Extent(audio.rate, audio.channels, frames), blocks)
        stems = np.concatenate(list(self._stems(piece, two, progress)), axis=-1)
        return {name: Audio(stem, audio.rate) for name, stem in zip(names, stems, strict=True)}

    def split(
        self,
        path: str | os.PathLike[str],
        folder: str | os.PathLike[str],
        *,
        two: str | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Path]:
        """Take a file of up to four hours apart, into one float WAV a stem in ``folder``.

        Either all stems are written or none. Arguments are those of :meth:`separate`.

        Raises:
            AudioError: not a sound, empty, silent, damaged, or too long.
            OptionError: the model has no stem ``two``, or one would replace the file itself.
            OutputError: the folder cannot be written or has no room.
        """
        names = self._names(two)
        extent = measure(path, MAX_SECONDS)
        check_apart(path, Path(folder), names)
        check_room(path, extent, Path(folder), len(names))
        piece = _Piece(os.fspath(path), extent, lambda: read_blocks(path))
        with stem_files(Path(folder), names, extent) as (places, write):
            for block in self._stems(piece, two, progress):
                write(block)
        return places

    def _names(self, two: str | None) -> tuple[str, ...]:
        check_stem(two, self.sources)
        return self.sources if two is None else (two, f"no_{two}")

    def _stems(
        self, piece: _Piece, two: str | None, progress: Progress | None
    ) -> Iterator[FloatArray]:
        """Consecutive parts ``[stems, C, n]`` of what :meth:`_names` lists."""
        if two is None:
            yield from self._separated(piece, progress)
            return
        index, original = self.sources.index(two), Samples(piece.blocks())
        for block in self._separated(piece, progress):
            stem, whole = block[index], np.zeros_like(block[index])
            heard = original.take(stem.shape[-1])
            whole[:, : heard.shape[-1]] = heard  # at most MISSING is not there
            yield np.stack([stem, whole - stem])

    def _separated(self, piece: _Piece, progress: Progress | None) -> Iterator[FloatArray]:
        """Consecutive parts ``[sources, C, n]``, as many samples in all as the piece has."""
        rate, channels = piece.extent.rate, piece.extent.channels
        own_rate, width = int(self._model.samplerate), int(self._model.audio_channels)

        def heard() -> Iterator[FloatArray]:
            for block in resampled(piece.blocks(), rate, own_rate):
                yield grouped(block, width)

        level = _level(piece.name, heard())
        _check_whole(piece, level.frames / own_rate)
        parts = self._overlapped(Samples(heard()), level, progress)
        flat = (ungrouped(part, channels).reshape(-1, part.shape[-1]) for part in parts)
        missing = piece.extent.frames
        for block in resampled(flat, own_rate, rate):
            # Rates back and forth can round to a sample more or less.
            block = block[:, :missing]
            missing -= block.shape[1]
            yield block.reshape(len(self.sources), channels, -1)
        if missing:
            yield np.zeros((len(self.sources), channels, missing), np.float32)

    def _overlapped(
        self, samples: Samples, level: _Level, progress: Progress | None
    ) -> Iterator[FloatArray]:
        """Consecutive parts ``[groups, sources, width, n]`` at the model's own rate.

        Source: ``apply_model`` in Demucs' ``apply.py``, which needs the whole piece.
        """
        model = self._model
        segment = int(model.samplerate * min(part.segment for part in model.models))
        stride = int((1 - OVERLAP) * segment)
        half = segment // 2
        fade = np.concatenate([np.arange(1, half + 1), np.arange(segment - half, 0, -1)])
        fade = (fade / fade.max()).astype(np.float32)

        held, begin = samples.take(0), 0  # of the input, and where it begins in the piece
        groups, width, _ = held.shape
        mixed = np.zeros((groups, len(self.sources), width, segment), np.float32)
        shares = np.zeros(segment, np.float32)
        offsets = range(0, level.frames, stride)
        for done, offset in enumerate(offsets, 1):
            missing = offset + segment - begin - held.shape[-1]
            fresh = (samples.take(missing) - level.mean) / level.deviation
            held = np.concatenate([held, fresh], axis=-1)
            # A last segment that is shorter is heard with so much of what is before it.
            past = max(0, offset - half - 1 - begin)
            held, begin = held[..., past:], begin + past
            part = run(model, held, offset - begin, segment, self._device)
            frames = part.shape[-1]
            mixed[..., :frames] += fade[:frames] * part
            shares[:frames] += fade[:frames]
            ready = min(stride, level.frames - offset)
            faded = mixed[..., :ready] / shares[:ready]
            yield faded * level.deviation[:, None] + level.mean[:, None]
            mixed, shares = (shifted(values, stride) for values in (mixed, shares))
            if progress:
                progress(done, len(offsets))


@dataclass(frozen=True)
class _Piece:
    """A sound that can be read from its beginning more than once, in blocks ``[C, n]``."""

    name: str
    extent: Extent
    blocks: Callable[[], Iterator[FloatArray]]


@dataclass(frozen=True)
class _Level:
    """What a piece is normalised by, ``[groups, 1, 1]``, and its length."""

    mean: FloatArray
    deviation: FloatArray
    frames: int


def _level(name: str, blocks: Iterator[FloatArray]) -> _Level:
    """Mean and deviation of each group's mono mix.

    Raises:
        AudioError: there is nothing to hear.
    """
    frames, peak, total, squares = 0, 0.0, np.zeros(1), np.zeros(1)
    for block in blocks:
        mono = block.mean(axis=1, dtype=np.float64)
        frames += mono.shape[-1]
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        total, squares = total + mono.sum(axis=-1), squares + np.square(mono).sum(axis=-1)
    if not frames:
        raise AudioError(f"{name} is too short to be taken apart: give at least 0.1 s")
    if peak < SILENCE:
        raise AudioError(f"{name} is silent: its loudest sample is {peak:.6f} of full scale")
    mean = total / frames
    variance = (squares - frames * mean**2) / max(frames - 1, 1)
    deviation = np.sqrt(np.maximum(variance, 0)) + 1e-8
    return _Level(_per_group(mean), _per_group(deviation), frames)


def _check_whole(piece: _Piece, seconds: float) -> None:
    """Raises ``AudioError`` where less was heard than the file says it holds: it was cut short."""
    whole = piece.extent.frames / piece.extent.rate
    if whole - seconds > MISSING:
        raise AudioError(
            f"{piece.name} is damaged: it ends after {seconds:.1f} of {whole:.1f} s: get it anew"
        )


def _per_group(values: NDArray[np.float64]) -> FloatArray:
    """``[groups]`` as ``[groups, 1, 1]``."""
    return values[:, None, None].astype(np.float32)
