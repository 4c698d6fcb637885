"""What a person asks for, checked when it is asked: before any model is loaded."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

from cadenza.audio import check_audible, read
from cadenza.errors import AudioError, OptionError
from cadenza.prompting import check_prompt, enhance
from cadenza.types import Audio, Codes, Sampling, Source

MAX_SECONDS = 600.0  # of new music
MAX_BEGINNING = 120.0  # seconds of a sound to go on from; the codec hears all of it at once
TOP_K = 250  # MusicGen's own
BUFFER = 2.0  # seconds that a stream is ahead of its reader at most
MIN_BUFFER, MAX_BUFFER = 0.1, 60.0
MAX_STREAM = 1e9  # seconds, thirty years; what is longer has no end


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound that goes in, and what the recipe says of it.

    Given in place of an :class:`Audio` where the sound has a name that its maker knows.
    """

    audio: Audio
    source: Source


@dataclass(frozen=True, eq=False)
class GenerateRequest:
    """One piece of music, with every option. Sounds may be paths or :class:`Audio`.

    Raises:
        PromptError: a prompt that is empty or too long.
        OptionError: an option out of range, or two that exclude each other.
        AudioError: a sound that cannot be read, is silent or too long.
    """

    prompt: str | None  # None is unconditional
    duration: float = 10.0  # seconds of new music
    seed: int | None = None  # None draws one, and the recipe keeps it
    negative: str | None = None  # what to steer away from
    guidance: float = 3.0  # how closely to follow the prompt; 1 switches guidance off
    temperature: float = 1.0  # 0 always takes the likeliest
    top_k: int | None = None  # None is MusicGen's 250, or the vocabulary where that is smaller
    top_p: float = 1.0
    melody: Sound | Audio | str | os.PathLike[str] | None = None  # the tune to follow
    beginning: Codes | Sound | Audio | str | os.PathLike[str] | None = None  # what to go on from
    enhance: bool = False  # add what the prompt leaves open, see cadenza.prompting
    # Let the model read the text word for word. Else one with a critic is told the instrument that
    # leads first, see cadenza.studio.critic.
    verbatim: bool = False
    # Stretch the take to the tempo that the prompt names, if it names one. None does so where a
    # critic keeps the best of several takes, see cadenza.studio.audition.
    in_time: bool | None = None
    in_key: bool | None = None  # likewise transpose it to the key, by what a critic hears

    def __post_init__(self) -> None:
        _check_number("duration", self.duration)
        if not 0 < self.duration <= MAX_SECONDS:
            raise OptionError(
                f"duration must be above 0 and at most {MAX_SECONDS:.0f} s, not {self.duration}"
            )
        self.sampling(TOP_K)
        if self.prompt is not None:
            check_prompt(self.prompt)
            check_prompt(self.text or "", "enhanced prompt")  # the recipe has to hold it, too
        elif self.enhance:
            raise OptionError("enhance needs a prompt: give one, or leave enhance out")
        if self.negative is not None:
            check_prompt(self.negative, "negative prompt")
            if self.guidance == 1:
                raise OptionError(
                    "a negative prompt works through guidance, which 1 switches off: "
                    "raise guidance, or leave the negative prompt out"
                )
        if self.melody is not None and self.beginning is not None:
            raise OptionError("a melody and a beginning exclude each other: choose one")
        if (self.in_time or self.in_key) and self.beginning is not None:
            done, name = ("stretched", "in-time") if self.in_time else ("transposed", "in-key")
            raise OptionError(
                f"a beginning would be {done} with what follows: leave it or {name} out"
            )
        _ = self.melody_sound, self.beginning_sound

    @cached_property
    def text(self) -> str | None:
        """What is asked for: the prompt, enhanced where that is wished."""
        return enhance(self.prompt) if self.enhance and self.prompt is not None else self.prompt

    @cached_property
    def melody_sound(self) -> Sound | None:
        """The melody, read and found to be audible."""
        return None if self.melody is None else _hear(self.melody, "the melody")

    @cached_property
    def beginning_sound(self) -> Sound | None:
        """The beginning likewise; ``None`` where it is codes already."""
        if self.beginning is None or isinstance(self.beginning, Codes):
            return None
        sound = _hear(self.beginning, "the beginning")
        if sound.audio.duration > MAX_BEGINNING:
            raise AudioError(
                f"the beginning lasts {sound.audio.duration:.0f} s, at most {MAX_BEGINNING:.0f} s "
                "can be continued: cut it first"
            )
        return sound

    def sampling(self, vocabulary: int) -> Sampling:
        """The settings for a model of so many tokens a codebook; draws a seed if there is none."""
        return Sampling(
            temperature=self.temperature,
            top_k=min(TOP_K, vocabulary) if self.top_k is None else self.top_k,
            top_p=self.top_p,
            guidance=self.guidance,
            seed=new_seed() if self.seed is None else self.seed,
        )


def check_batch(requests: Iterable[object]) -> None:
    """Refuse a list of prompts where requests belong.

    Raises:
        OptionError: one of them is no :class:`GenerateRequest`.
    """
    for request in requests:
        if not isinstance(request, GenerateRequest):
            raise OptionError(
                f"a batch is made of GenerateRequest, not of {request!r}: "
                "write GenerateRequest(prompt)"
            )


def check_streamed(request: GenerateRequest) -> None:
    """Refuse what cannot be done to music that is heard while it is made.

    Raises:
        OptionError: it is to be in time or in key.
    """
    if request.in_time:
        raise OptionError("a stream is heard before its tempo is known: leave in-time out")
    if request.in_key:
        raise OptionError("a stream is heard before its key is known: leave in-key out")


def check_stream(duration: float | None, buffer: float) -> None:
    """Refuse what no stream can last or keep ahead.

    Raises:
        OptionError: a duration that is not above 0 and at most 1e9 s, a buffer outside 0.1 to
            60 s.
    """
    _check_number("buffer", buffer)
    if duration is not None:
        _check_number("duration", duration)
        if not 0 < duration <= MAX_STREAM:
            raise OptionError(
                f"duration must be above 0 s and at most {MAX_STREAM:g}, or left out for no end, "
                f"not {duration}"
            )
    if not MIN_BUFFER <= buffer <= MAX_BUFFER:
        raise OptionError(f"buffer must be from {MIN_BUFFER} to {MAX_BUFFER:.0f} s, not {buffer}")


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, Real):
        raise OptionError(f"{name} must be a number of seconds, not {value!r}")


def new_seed() -> int:
    """A random seed, short enough to be typed."""
    return secrets.randbelow(2**31)


def fingerprint(audio: Audio) -> str:
    """SHA-256 of the samples ``[C, N]`` as little-endian float32."""
    return hashlib.sha256(audio.samples.astype("<f4").tobytes()).hexdigest()


def _hear(sound: Sound | Audio | str | os.PathLike[str], name: str) -> Sound:
    if isinstance(sound, Sound):
        check_audible(sound.audio, f"{name} {sound.source.path}".rstrip())
        return sound
    path = "" if isinstance(sound, Audio) else os.fspath(sound)
    audio = sound if isinstance(sound, Audio) else read(sound)
    check_audible(audio, f"{name} {path}".rstrip())
    return Sound(audio, Source(path, fingerprint(audio)))
