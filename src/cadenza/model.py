"""One model, ready to play: prompt in, music out."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np

from cadenza.audio import resample, to_channels
from cadenza.checkpoints import Checkpoint, read_adapters, resolve
from cadenza.devices import choose_device
from cadenza.engine import Emission, Engine, Request, SharedBackend
from cadenza.errors import AudioError, DeviceError, ModelMismatch, OptionError
from cadenza.machine import Machine
from cadenza.request import (
    BUFFER,
    GenerateRequest,
    check_batch,
    check_stream,
    check_streamed,
)
from cadenza.streaming import Performance, Producer, Solo, Sounding, SteadyLevel, Stream
from cadenza.studio.asked import asked as read_prompt
from cadenza.studio.audition import auditions, play
from cadenza.studio.critic import Critic, critic_in, lead_first
from cadenza.studio.inkey import in_key
from cadenza.studio.intime import frames_to_make, in_time
from cadenza.studio.scoring import Rated, ratings
from cadenza.studio.session import Session
from cadenza.studio.wishes import wishes_of
from cadenza.take import Take
from cadenza.tune import RATE as TUNE_RATE
from cadenza.types import (
    Audio,
    Codes,
    Conditioning,
    FloatArray,
    IntArray,
    Key,
    ModelIdentity,
    Progress,
    Recipe,
    Say,
    Source,
)

BACKENDS = ("torch", "openvino")
BATCH_SECONDS = 10.0  # that the codec turns into sound at a time when nobody listens


def load(
    name: str | os.PathLike[str] = "nano",
    *,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    adapters: Mapping[Any, float] | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> Model:
    """Load a model by short name, hub id (``owner/name@revision``) or folder.

    Args:
        device: ``auto`` (a CUDA card if there is one, else the CPU), ``cpu``, ``cuda``, ``mps``.
        precision: of the decoder. On torch ``fp32``, ``bf16``, ``fp16``; on OpenVINO ``fp32``,
            ``bf16``, ``int8``, ``int4``. ``auto`` is fp16 on CUDA, as the published weights, int8
            on OpenVINO, else fp32.
        backend: ``torch``, ``openvino`` (CPUs only, several times faster there; a model is
            converted when it is first met), or ``auto``: OpenVINO on a CPU where it is installed.
        adapters: folders that ``cadenza finetune`` wrote, each with its weight: 1 is as it was
            learned, 0 is nothing of it.
        offline: never ask the hub.
        progress: called with the bytes of a download, done and in all.

    Raises:
        ModelError: it or an adapter is not to be found, damaged, or does not fit.
        OptionError: a weight that is not from 0 to 2.
        DeviceError: this machine has no such device, precision or back end.
        MissingPackage: OpenVINO was asked for and is not installed.
    """
    if backend not in ("auto", *BACKENDS):
        raise DeviceError(f"unknown back end {backend!r}: choose auto, {', '.join(BACKENDS)}")
    device = choose_device(device)
    added = read_adapters(adapters or {})
    checkpoint = replace(resolve(name, offline=offline, progress=progress), adapters=added)
    return Model(_machine(checkpoint, device, precision, backend), checkpoint.folder)


def _machine(checkpoint: Checkpoint, device: str, precision: str, backend: str) -> Machine:
    from cadenza.openvino import available, load_machine

    if backend == "openvino" and device != "cpu":
        raise DeviceError(f"OpenVINO plays on CPUs here, not on {device}: choose --device cpu")
    fits = device == "cpu" and precision != "fp16" and available()
    if backend == "openvino" or (backend == "auto" and fits):
        try:
            return load_machine(checkpoint, precision)
        except (DeviceError, ModelMismatch):
            # A processor or a layer that OpenVINO does not know is no reason not to play.
            if backend == "openvino" or precision in ("int8", "int4"):
                raise
    from cadenza.torch_machine import load_machine as load_on_torch

    return load_on_torch(checkpoint, device, precision)


class Model:
    """A loaded checkpoint. Settings travel with each request; nothing about one is kept.

    Several threads may use it: their steps take turns.
    """

    def __init__(self, machine: Machine, folder: Path) -> None:
        """``folder`` is that of the checkpoint."""
        self._machine, self._codec, self._folder = machine, machine.codec, folder
        self._backend = SharedBackend(machine.backend)
        self._tokenizing = Lock()  # a tokenizer serves one thread at a time

    @property
    def family(self) -> str:
        """``text`` or ``melody``."""
        return self._machine.family

    @property
    def identity(self) -> ModelIdentity:
        """Which checkpoint it is."""
        return self._machine.identity

    @property
    def channels(self) -> int:
        """Of the sound it makes."""
        return self._codec.channels

    @property
    def backend(self) -> str:
        """``torch`` or ``openvino``."""
        return self._machine.kind

    @property
    def device(self) -> str:
        return self._machine.device

    @property
    def precision(self) -> str:
        """Of the decoder."""
        return self._machine.precision

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

    @cached_property
    def critic(self) -> Critic | None:
        """Who hears its takes where the best of several is wanted; most checkpoints have none.

        Raises:
            ModelDamaged: there is one that cannot be read.
        """
        return critic_in(self._folder)

    @property
    def has_critic(self) -> bool:
        """Whether there is one."""
        return self.critic is not None

    def generate(
        self,
        prompt: str | None,
        *,
        best_of: int = 1,
        progress: Progress | None = None,
        **options: Any,
    ) -> Take:
        """Make one piece; ``options`` are the other fields of :class:`GenerateRequest`.

        Of ``best_of`` takes, with seeds in a row, the best is kept: see
        :mod:`cadenza.studio.audition`. ``progress`` is called after every step with the steps done
        and in all. What it raises (``cadenza.errors.Cancelled``, for one) ends the work at that
        step.

        Raises:
            CadenzaError: see :class:`GenerateRequest` and :meth:`generate_batch`.
        """
        [[best, *_]], _ = play(self, [GenerateRequest(prompt, **options)], best_of, progress)
        return best

    def generate_batch(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Take]:
        """Make several pieces together, much faster than one after the other.

        Raises:
            OptionError: an option that this model does not have, or something that is no request.
            ModelMismatch: a beginning in the codes of another model.
            AudioError: a beginning that is too short.
        """
        prepared = self._prepare_all(requests)
        sounding = [Sounding(self._codec, made.beginning, BATCH_SECONDS) for made in prepared]
        chunks: list[list[FloatArray]] = [[] for _ in prepared]

        def hear(emission: Emission) -> None:
            chunks[emission.id] += sounding[emission.id].add(emission)

        codes = self._play(prepared, progress, hear)
        return [
            self._take(request, made, played, np.concatenate(sound, axis=1))
            for request, made, played, sound in zip(requests, prepared, codes, chunks, strict=True)
        ]

    def generate_codes(
        self, requests: Sequence[GenerateRequest], progress: Progress | None = None
    ) -> list[Codes]:
        """The codes of what :meth:`generate_batch` makes, in less time: nobody hears them.

        Raises:
            CadenzaError: as for :meth:`generate_batch`.
        """
        return self._play(self._prepare_all(requests), progress)

    def choose(
        self,
        requests: Sequence[GenerateRequest],
        count: int,
        progress: Progress | None = None,
    ) -> tuple[list[Take], list[list[Rated]]]:
        """The best of ``count`` takes of each request, with seeds in a row, and what was heard in
        those of each, the best first: see :mod:`cadenza.studio.audition`.

        Raises:
            OptionError: a count out of bounds.
            CadenzaError: as for :meth:`generate_batch`.
        """
        heard = auditions(self, requests, count, progress)
        return [ranking[0].take for ranking in heard], ratings(heard)

    def stream(
        self,
        prompt: str | None,
        duration: float | None = None,
        buffer: float = BUFFER,
        **options: Any,
    ) -> Stream:
        """Make music and hand out its sound while it is being made; it can be steered meanwhile.

        Chunks follow each other without a seam; put together they are what :meth:`generate` makes
        with the same options, after its beginning if it has one. Without a duration that holds for
        the first window; later ones are kept near what was played in it, and how loud
        (:mod:`cadenza.engine.anchor`, :class:`cadenza.streaming.SteadyLevel`). The work begins at
        once, in a thread of its own. See :class:`cadenza.streaming.Stream` for steering it and
        for closing it.

        Args:
            duration: seconds of new music; ``None`` goes on until it is stopped.
            buffer: how many seconds the work is ahead of the reader at most.
            options: the other fields of :class:`GenerateRequest`.

        Raises:
            CadenzaError: at once, see :class:`GenerateRequest` and :meth:`generate_batch`.
        """
        check_stream(duration, buffer)
        asked = GenerateRequest(prompt, **options)
        check_streamed(asked)
        frames = None if duration is None else self._frames(duration)
        request = replace(self._prepare(asked), frames=frames)
        performance = self._perform(request)
        level = SteadyLevel(self.rate) if duration is None else None
        producer = Producer(performance, self._codec, request.beginning, buffer, level)
        asked = replace(asked, seed=request.sampling.seed)
        return Stream(performance, producer, asked, self._prepare, self.frame_rate)

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
            # What was stretched is no longer what its codes are.
            options["beginning"] = piece.codes if piece.as_played else piece.audio
        else:
            options["beginning"] = piece
        return self.generate(prompt, duration=duration, progress=progress, **options)

    def band(
        self,
        prompt: str,
        tracks: Sequence[str],
        folder: str | os.PathLike[str],
        *,
        force: bool = False,
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Any,
    ) -> Session:
        """Let several instruments play one piece, each on a track of its own, and mix them.

        ``folder`` then holds a session; ``options`` are those of :func:`cadenza.studio.band.plan`.

        Raises:
            CadenzaError: see :func:`cadenza.studio.band.band`.
        """
        from cadenza.studio.band import band

        return band(
            self, prompt, tracks, folder, force=force, progress=progress, say=say, **options
        )

    def _play(
        self,
        prepared: Sequence[Request],
        progress: Progress | None,
        hear: Callable[[Emission], None] | None = None,
    ) -> list[Codes]:
        """All of the pieces, with what they go on from; ``hear`` gets the frames as they come."""
        ids = [[] if made.beginning is None else [made.beginning] for made in prepared]
        if prepared:
            with self._run(prepared, progress) as emissions:
                for emission in emissions:
                    ids[emission.id].append(emission.ids)
                    if hear is not None:
                        hear(emission)
        return [Codes(np.concatenate(part, axis=1), self.frame_rate) for part in ids]

    def _run(
        self, requests: Sequence[Request], progress: Progress | None = None
    ) -> closing[Generator[Emission, None, None]]:
        """The frames of all requests as they are made; leaving the context stops the rest."""
        emissions = Engine(self._backend).run(requests, progress)
        return closing(cast(Generator[Emission, None, None], emissions))

    def _perform(self, request: Request) -> Performance:
        """A request whose frames are asked for one after the other, and that can be steered."""
        return Solo(Engine(self._backend), request)

    def _frames(self, seconds: float) -> int:
        return max(1, round(seconds * self.frame_rate))

    def _prepare_all(self, requests: Sequence[GenerateRequest]) -> list[Request]:
        check_batch(requests)
        return [self._prepare(request) for request in requests]

    def _prepare(self, request: GenerateRequest) -> Request:
        """Texts and sounds to what the engine reads."""
        if _key(request) is not None and self.critic is None:
            raise OptionError(
                f"{self.name} has no critic to hear the key of a take: leave in-key out"
            )
        sampling = request.sampling(self._backend.shape.vocabulary)
        conditioning = self._condition(self._read(request), self._tune(request))
        if sampling.guidance == 1:
            unconditional = None
        elif request.negative is not None:
            unconditional = self._condition(request.negative, None)
        else:
            unconditional = self._machine.unconditional(conditioning)
        frames = self._frames(request.duration)
        if _tempo(request) is not None:
            frames = frames_to_make(frames)
        prepared = Request(conditioning, unconditional, sampling, frames, self._beginning(request))
        Engine(self._backend).add(prepared)  # checks it; nothing runs
        return prepared

    def _read(self, request: GenerateRequest) -> str | None:
        """What the text encoder reads of a request."""
        text = request.text
        if text is None or request.verbatim or self.critic is None:
            return text
        return lead_first(text)

    def _condition(self, text: str | None, melody: Audio | None) -> Conditioning:
        with self._tokenizing:
            return self._machine.condition(text, melody)

    def _tune(self, request: GenerateRequest) -> Audio | None:
        sound = request.melody_sound
        if sound is None:
            return None
        if self.family != "melody":
            raise OptionError(
                f"{self.name} cannot follow a melody: choose a melody model, or leave it out"
            )
        return resample(to_channels(sound.audio, 1), TUNE_RATE)

    def _beginning(self, request: GenerateRequest) -> IntArray | None:
        if isinstance(request.beginning, Codes):
            return request.beginning.ids
        sound = request.beginning_sound
        if sound is None:
            return None
        audio = to_channels(resample(sound.audio, self.rate), self.channels)
        # Whole frames only: the codec would fill the last one up with silence.
        frames = audio.samples.shape[1] // self._codec.hop
        if frames == 0:
            raise AudioError(
                f"the beginning lasts {audio.duration:.3f} s, less than one frame of "
                f"{1 / self.frame_rate:.3f} s: give a longer one"
            )
        samples = audio.samples[:, : frames * self._codec.hop]
        return self._codec.encode(Audio(samples, self.rate)).ids

    def _take(
        self, request: GenerateRequest, made: Request, codes: Codes, samples: FloatArray
    ) -> Take:
        audio, tempo = Audio(samples, self.rate), _tempo(request)
        if tempo is not None:
            wanted = self._frames(request.duration) * self.rate / self.frame_rate
            audio = in_time(audio, codes, tempo, round(wanted), self.critic)
        key = _key(request)
        if key is not None:
            assert self.critic is not None  # as was checked before it was played
            audio = in_key(audio, codes, key, self.critic)
        recipe = Recipe(
            model=self.identity,
            prompt=request.prompt,
            text=self._read(request),
            negative=request.negative,
            frames=codes.frames - (0 if made.beginning is None else made.beginning.shape[1]),
            sampling=made.sampling,
            backend=self.backend,
            device=self.device,
            precision=self.precision,
            package=version("cadenza"),
            codes_sha256=codes.sha256,
            melody=None if request.melody_sound is None else request.melody_sound.source,
            continued=_continued(request),
            in_time=tempo is not None,
            in_key=key is not None,
        )
        return Take(audio, codes, recipe)


def _tempo(request: GenerateRequest) -> float | None:
    """What the take is to be stretched to, in beats a minute."""
    return read_prompt(request.text).tempo if request.in_time and request.text else None


def _key(request: GenerateRequest) -> Key | None:
    """What the take is to be transposed to."""
    return wishes_of(request.text).key if request.in_key else None


def _continued(request: GenerateRequest) -> Source | None:
    if isinstance(request.beginning, Codes):
        return Source("", request.beginning.sha256)
    return None if request.beginning_sound is None else request.beginning_sound.source
