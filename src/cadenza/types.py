"""The plain values that travel between the parts of Cadenza.

Shapes, the same letter everywhere: ``C`` audio channels, ``N`` samples, ``K`` codebooks,
``T`` frames, ``S`` text positions, ``D`` features.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cadenza.errors import AudioError, OptionError, RecipeError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Progress = Callable[[int, int], None]  # done, in all
Say = Callable[[str], None]  # what is being done, in words

RECIPE_FORMAT = 1
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Audio:
    """A piece of sound: ``samples [C, N]`` float32, full scale is ±1, ``rate`` in hertz."""

    samples: FloatArray
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise AudioError(
                f"audio must be float32 [channels, samples], not {self.samples.dtype} "
                f"{list(self.samples.shape)}"
            )
        if self.rate <= 0:
            raise AudioError(f"a sampling rate must be positive, not {self.rate}")

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def duration(self) -> float:
        """Seconds."""
        return int(self.samples.shape[1]) / self.rate

    @property
    def peak(self) -> float:
        """The largest absolute sample, 0 for an empty piece."""
        return float(np.abs(self.samples).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Codes:
    """What the codec makes of sound: integer tokens ``ids [K, T]``, ``frame_rate`` in hertz."""

    ids: IntArray
    frame_rate: float

    def __post_init__(self) -> None:
        if self.ids.ndim != 2:
            raise AudioError(f"codes must be [codebooks, frames], not {list(self.ids.shape)}")

    @property
    def codebooks(self) -> int:
        return int(self.ids.shape[0])

    @property
    def frames(self) -> int:
        return int(self.ids.shape[1])

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.frame_rate

    @property
    def sha256(self) -> str:
        """A fingerprint of the tokens and their shape; equal codes have equal fingerprints."""
        digest = hashlib.sha256(f"{self.codebooks}x{self.frames}:".encode())
        digest.update(np.ascontiguousarray(self.ids, dtype="<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the encoders made of a request, already in the decoder's width ``D``.

    ``cross [S, D]`` is read by cross-attention (text and stereo models); ``prefix [P, D]`` is fed
    to the decoder ahead of the codes (melody models). The one that a family does not use has
    length 0. Unconditional is a single all-zero ``cross`` state, which adds exactly nothing.
    """

    cross: FloatArray
    prefix: FloatArray


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. The defaults are MusicGen's own.

    Numbers of any kind are taken, numpy's too, and kept as Python's, which a recipe can hold.
    """

    temperature: float = 1.0  # 0 is greedy: always the likeliest token
    top_k: int = 250  # draw among the k likeliest; the vocabulary's size switches it off
    top_p: float = 1.0  # draw among the likeliest that hold this share; 1 switches it off
    guidance: float = 3.0  # classifier-free guidance; 1 switches it off
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind, what in (
            ("temperature", float, "a number"),
            ("top_k", operator.index, "a whole number"),
            ("top_p", float, "a number"),
            ("guidance", float, "a number"),
            ("seed", operator.index, "a whole number"),
        ):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, kind(value))
            except (TypeError, ValueError) as error:
                raise OptionError(
                    f"{name.replace('_', '-')} must be {what}, not {value!r}"
                ) from error
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 10):
            raise OptionError(f"temperature must be from 0 to 10, not {self.temperature}")
        if self.top_k < 1:
            raise OptionError(f"top-k must be at least 1, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top-p must be above 0 and at most 1, not {self.top_p}")
        if not (math.isfinite(self.guidance) and 1 <= self.guidance <= 20):
            raise OptionError(f"guidance must be from 1 to 20, not {self.guidance}")
        if not 0 <= self.seed <= MAX_SEED:
            raise OptionError(f"seed must be from 0 to 2**63 - 1, not {self.seed}")


@dataclass(frozen=True)
class Note:
    """One note: ``start`` and ``end`` in seconds, MIDI ``pitch`` and ``velocity`` (0 to 127)."""

    start: float
    end: float
    pitch: int
    velocity: int = 90


PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True)
class Key:
    """A tonic (0 is C, 11 is B) and a mode, ``major`` or ``minor``."""

    tonic: int
    mode: str

    def __post_init__(self) -> None:
        if not 0 <= self.tonic < 12 or self.mode not in ("major", "minor"):
            raise OptionError(
                f"a key is a tonic from 0 to 11 and a mode, not {self.tonic} {self.mode}"
            )

    def __str__(self) -> str:
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read what ``str`` gives, «Eb minor».

        Raises:
            OptionError: it is no key.
        """
        name, _, mode = text.partition(" ")
        if name not in PITCH_CLASSES:
            raise OptionError(f"{text!r} is no key: write it like «{cls(3, 'minor')}»")
        return cls(PITCH_CLASSES.index(name), mode)


@dataclass(frozen=True)
class AdapterIdentity:
    """Which adapter was added to a checkpoint, and how much of it."""

    path: str = field(compare=False)  # the folder that was asked for; it may have moved
    sha256: str  # of its configuration and weights
    weight: float

    def __post_init__(self) -> None:
        named = isinstance(self.path, str) and isinstance(self.sha256, str)
        if not named or not isinstance(self.weight, int | float):
            raise TypeError(f"an adapter has a path, a SHA-256 and a weight, not {self}")


@dataclass(frozen=True)
class ModelIdentity:
    """Which checkpoint it was: enough to find the same one again."""

    name: str  # the short name, hub id or folder name that was asked for
    revision: str | None  # the hub's commit, where there is one
    sha256: str  # of the weights
    licence: str
    adapters: tuple[AdapterIdentity, ...] = ()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ModelIdentity:
        """Read what :func:`dataclasses.asdict` gives, also after a way through JSON.

        Raises:
            TypeError: fields that are missing or of another kind.
        """
        named = isinstance(fields, Mapping) and {"name", "sha256", "licence"} <= fields.keys()
        if not named or not all(isinstance(fields[text], str) for text in ("name", "sha256")):
            raise TypeError(f"a model has a name, a SHA-256 and a licence, not {fields!r:.80}")
        adapters = tuple(AdapterIdentity(**adapter) for adapter in fields.get("adapters", ()))
        return cls(**{**fields, "adapters": adapters})


@dataclass(frozen=True)
class Source:
    """A sound that went in (a melody, a beginning): where it was and what it held."""

    path: str
    sha256: str  # of the samples as float32, [C, N]

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not isinstance(self.sha256, str):
            raise TypeError(f"a sound has a path and a SHA-256, not {self}")


MAX_FRAMES = 10**9  # of a recipe; far more than anything ever made has
_TEXTS = ("prompt", "text", "negative")  # of a recipe


@dataclass(frozen=True)
class Recipe:
    """All that is needed to make a take again."""

    model: ModelIdentity
    prompt: str | None  # as the person wrote it; None is unconditional
    text: str | None  # as the text encoder read it
    negative: str | None
    frames: int
    sampling: Sampling
    backend: str
    device: str
    precision: str
    package: str  # Cadenza's version
    codes_sha256: str = ""
    melody: Source | None = None
    continued: Source | None = None
    in_time: bool = False  # the sound was stretched to the tempo in the text, if near, and cut
    in_key: bool = False  # the sound was transposed to the key in the text, if near
    format: int = field(default=RECIPE_FORMAT)

    def to_json(self) -> str:
        """One line of JSON, keys in the order of the fields."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what :meth:`to_json` wrote.

        Raises:
            RecipeError: not a recipe, or one of a newer format.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields["format"] > RECIPE_FORMAT:
                raise RecipeError(
                    f"the recipe has format {fields['format']}, this Cadenza reads up to "
                    f"{RECIPE_FORMAT}: upgrade it with pip install -U cadenza"
                )
            for name, kind in (("melody", Source), ("continued", Source)):
                if fields.get(name) is not None:
                    fields[name] = kind(**fields[name])
            if not all(isinstance(fields[text], str | None) for text in _TEXTS):
                raise TypeError(f"{', '.join(_TEXTS)} are texts")
            for name in _TEXTS:
                (fields[name] or "").encode()  # half of a character is no text
            fields["frames"] = operator.index(fields["frames"])
            if not 0 < fields["frames"] <= MAX_FRAMES:
                raise ValueError(f"nothing has {fields['frames']:.3g} frames")
            fields["model"] = ModelIdentity.from_dict(fields["model"])
            fields["sampling"] = Sampling(**fields["sampling"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
            raise RecipeError(f"this is not a recipe of Cadenza: {error}") from error
