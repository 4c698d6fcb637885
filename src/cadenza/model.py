"""One model, ready to play: prompt in, music out."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import torch

from cadenza.audio import resample, to_channels
from cadenza.checkpoints import Parts, load_parts, resolve
from cadenza.codec import Codec
from cadenza.devices import choose_device
from cadenza.engine import Emission, Engine, Request, TorchBackend
from cadenza.errors import AudioError, DeviceError, OptionError
from cadenza.melody import RATE as MELODY_RATE
from cadenza.melody import MelodyConditioner
from cadenza.request import GenerateRequest
from cadenza.take import Take
from cadenza.text import TextConditioner
from cadenza.types import (
    Audio,
    Codes,
    Conditioning,
    FloatArray,
    IntArray,
    ModelIdentity,
    Progress,
    Recipe,
    Source,
)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
STREAM_SECONDS = 0.5  # that the codec turns into sound at a time when somebody listens
BATCH_SECONDS = 10.0  # and when nobody does


def load(
    name: str | os.PathLike[str] = "nano",
    *,
    device: str = "auto",
    precision: str = "auto",
    offline: bool = False,
    progress: Progress | None = None,
) -> Model:
    """Load a model by short name, hub id (``owner/name@revision``) or folder.

    Args:
        device: ``auto`` (a CUDA card if there is one, else the CPU), ``cpu``, ``cuda``, ``mps``.
        precision: ``auto`` (fp16 on CUDA, as the published weights, else fp32), ``fp32``,
            ``bf16``, ``fp16``. It concerns the decoder; text encoder and codec stay in fp32.
        offline: never ask the hub.
        progress: called with the bytes of a download, done and in all.

    Raises:
        ModelError: it is not to be found, damaged, or its parts do not fit each other.
        DeviceError: this machine has no such device or precision.
    """
    device = choose_device(device)
    precision = choose_precision(precision, device)
    checkpoint = resolve(name, offline=offline, progress=progress)
    parts = load_parts(checkpoint, device=device, dtype=DTYPES[precision])
    return Model(parts, device, precision)


def choose_precision(name: str, device: str) -> str:
    """``auto`` to what suits the device; any other name to itself.

    Raises:
        DeviceError: unknown, or not on this device.
    """
    if name == "auto":
        return "fp16" if device == "cuda" else "fp32"
    if name not in DTYPES:
        raise DeviceError(f"unknown precision {name!r}: choose auto, {', '.join(DTYPES)}")
    if name == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError("this CUDA card does not compute in bf16: choose fp16 or fp32")
    return name


class Model:
    """A loaded checkpoint. Settings travel with each request; nothing about one is kept.

    One thread at a time may use it.
    """

    def __init__(self, parts: Parts, device: str, precision: str) -> None:
        model: Any = parts.model
        self.family = parts.family
        self.channels = parts.channels
        self.identity: ModelIdentity = parts.identity
        self.device, self.precision = device, precision
        self._backend = TorchBackend(model.decoder, device=device, dtype=DTYPES[precision])
        # The back end keeps its own copy of the weights; a large model's should not lie here twice.
        del model.decoder
        self._codec = Codec(model.audio_encoder, parts.channels)
        conditioner = MelodyConditioner if parts.family == "melody" else TextConditioner
        self._conditioner = conditioner(parts.model, parts.tokenizer)

    @property
    def name(self) -> str:
        """As it was asked for."""
        return self.identity.name

    @property
    def licence(self) -> str:
        """Of the weights."""
        return self.identity.licence

    @property
    def rate(self) -> int:
        """Of the sound it makes, in hertz."""
        return self._codec.rate

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self._codec.frame_rate

    def generate(
        self, prompt: str | None, *, progress: Progress | None = None, **options: Any
    ) -> Take:
        """Make one piece; ``options`` are the other fields of :class:`GenerateRequest`.

        ``progress`` is called after every step with the steps done and in all. What it raises
        (``cadenza.errors.Cancelled``, for one) ends the work at that step.

        Raises:
            CadenzaError: see :class:`GenerateRequest` and :meth:`generate_batch`.
        """
        return self.generate_batch([GenerateRequest(prompt, **options)], progress)[0]

    def generate_batch(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Take]:
        """Make several pieces together, much faster than one after the other.

        Raises:
            OptionError: an option that this model does not have.
            ModelMismatch: a beginning in the codes of another model.
            AudioError: a beginning that is too short.
        """
        if not requests:
            return []
        prepared = [self._prepare(request) for request in requests]
        sounding = [_Sounding(self._codec, made.beginning, BATCH_SECONDS) for made in prepared]
        ids = [[] if made.beginning is None else [made.beginning] for made in prepared]
        chunks: list[list[FloatArray]] = [[] for _ in prepared]
        with self._run(prepared, progress) as emissions:
            for emission in emissions:
                ids[emission.id].append(emission.ids)
                chunks[emission.id] += sounding[emission.id].add(emission)
        return [
            self._take(request, made, np.concatenate(codes, axis=1), np.concatenate(sound, axis=1))
            for request, made, codes, sound in zip(requests, prepared, ids, chunks, strict=True)
        ]

    def stream(self, prompt: str | None, **options: Any) -> Iterator[Audio]:
        """Make one piece and hand out its sound while it is being made.

        Chunks follow each other without a seam; put together they are what :meth:`generate` makes
        with the same options, after its beginning if it has one. Closing the iterator stops the
        work, and an error in it is raised to the one who reads.

        Raises:
            CadenzaError: at once, see :class:`GenerateRequest` and :meth:`generate_batch`.
        """
        return self._stream(self._prepare(GenerateRequest(prompt, **options)))

    def extend(
        self,
        piece: Take | Audio | str | os.PathLike[str],
        duration: float,
        prompt: str | None = None,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> Take:
        """Go on from a take or any sound for ``duration`` more seconds; returns all of it.

        Without ``prompt`` a take goes on with its own.

        Raises:
            CadenzaError: see :class:`GenerateRequest` and :meth:`generate_batch`.
        """
        if isinstance(piece, Take):
            prompt = piece.recipe.text if prompt is None else prompt
            options["beginning"] = piece.codes
        else:
            options["beginning"] = piece
        return self.generate(prompt, duration=duration, progress=progress, **options)

    def _run(
        self, requests: Sequence[Request], progress: Progress | None = None
    ) -> closing[Generator[Emission, None, None]]:
        """The frames of all requests as they are made; leaving the context stops the rest."""
        emissions = Engine(self._backend).run(requests, progress)
        return closing(cast(Generator[Emission, None, None], emissions))

    def _prepare(self, request: GenerateRequest) -> Request:
        """Texts and sounds to what the engine reads."""
        sampling = request.sampling(self._backend.shape.vocabulary)
        conditioning = self._condition(request.text, self._tune(request))
        if sampling.guidance == 1:
            unconditional = None
        elif request.negative is not None:
            unconditional = self._condition(request.negative, None)
        else:
            unconditional = self._conditioner.unconditional(conditioning)
        frames = max(1, round(request.duration * self.frame_rate))
        prepared = Request(conditioning, unconditional, sampling, frames, self._beginning(request))
        Engine(self._backend).add(prepared)  # checks it; nothing runs
        return prepared

    def _condition(self, text: str | None, melody: Audio | None) -> Conditioning:
        if isinstance(self._conditioner, MelodyConditioner):
            return self._conditioner.encode([text], [melody])[0]
        return self._conditioner.encode([text])[0]

    def _tune(self, request: GenerateRequest) -> Audio | None:
        sound = request.melody_sound
        if sound is None:
            return None
        if self.family != "melody":
            raise OptionError(
                f"{self.name} cannot follow a melody: choose a melody model, or leave it out"
            )
        return resample(to_channels(sound.audio, 1), MELODY_RATE)

    def _beginning(self, request: GenerateRequest) -> IntArray | None:
        if isinstance(request.beginning, Codes):
            return request.beginning.ids
        sound = request.beginning_sound
        if sound is None:
            return None
        audio = to_channels(resample(sound.audio, self.rate), self.channels)
        # Whole frames only: the codec would fill the last one up with silence.
        frames = int(audio.duration * self.frame_rate)
        if frames == 0:
            raise AudioError(
                f"the beginning lasts {audio.duration:.3f} s, less than one frame of "
                f"{1 / self.frame_rate:.3f} s: give a longer one"
            )
        samples = audio.samples[:, : round(frames * self.rate / self.frame_rate)]
        return self._codec.encode(Audio(samples, self.rate)).ids

    def _stream(self, request: Request) -> Iterator[Audio]:
        sounding = _Sounding(self._codec, request.beginning, STREAM_SECONDS)
        beginning = 0 if request.beginning is None else request.beginning.shape[1]
        known = beginning * self._codec.hop  # samples that were there before
        with self._run([request]) as emissions:
            for emission in emissions:
                for samples in sounding.add(emission):
                    new = samples[:, known:]
                    known -= samples.shape[1] - new.shape[1]
                    if new.shape[1]:
                        yield Audio(new, self.rate)

    def _take(
        self, request: GenerateRequest, made: Request, ids: IntArray, samples: FloatArray
    ) -> Take:
        codes = Codes(ids, self.frame_rate)
        recipe = Recipe(
            model=self.identity,
            prompt=request.prompt,
            text=request.text,
            negative=request.negative,
            frames=codes.frames - (0 if made.beginning is None else made.beginning.shape[1]),
            sampling=made.sampling,
            backend="torch",
            device=self.device,
            precision=self.precision,
            package=version("cadenza"),
            codes_sha256=codes.sha256,
            melody=None if request.melody_sound is None else request.melody_sound.source,
            continued=_continued(request),
        )
        return Take(Audio(samples, self.rate), codes, recipe)


class _Sounding:
    """The frames of one piece to sound, as soon as it is final.

    The codec works on ``seconds`` at a time: short is prompt, long is efficient.
    """

    def __init__(self, codec: Codec, beginning: IntArray | None, seconds: float) -> None:
        self._stream = codec.stream()
        self._share = max(1, round(seconds * codec.frame_rate))
        self._waiting: list[IntArray] = [] if beginning is None else [beginning]  # each [K, n]

    def add(self, emission: Emission) -> list[FloatArray]:
        """Take new frames; returns samples ``[C, ·]`` in pieces, which may be none or empty."""
        self._waiting.append(emission.ids)
        if len(self._waiting) < self._share and not emission.done:
            return []
        waiting = np.concatenate(self._waiting, axis=1)
        self._waiting.clear()
        # A beginning may be long, and the codec's memory grows with what it gets at once.
        parts = (waiting[:, t : t + self._share] for t in range(0, waiting.shape[1], self._share))
        made = [self._stream.push(part) for part in parts]
        if emission.done:
            made.append(self._stream.flush())
        return [audio.samples for audio in made]


def _continued(request: GenerateRequest) -> Source | None:
    if isinstance(request.beginning, Codes):
        return Source("", request.beginning.sha256)
    return None if request.beginning_sound is None else request.beginning_sound.source
