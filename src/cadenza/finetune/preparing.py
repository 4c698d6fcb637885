"""What a model is going to learn from: pieces as codes, each with its caption; encoded once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cadenza.audio import resample, to_channels
from cadenza.codecstream import StreamingCodec
from cadenza.errors import AudioError
from cadenza.finetune import store
from cadenza.finetune.captions import Facts, facts_of, read_captions
from cadenza.finetune.sounds import ALIKE, files_in, likeness, pieces_of
from cadenza.types import FloatArray, IntArray, Progress

FORMAT = 1  # of what is kept of a file; another number makes all of it anew


@dataclass(frozen=True, eq=False)
class Piece:
    """``codes [K, T]`` of ``seconds`` from ``start`` on in a file, and what it is called."""

    file: Path
    start: float
    seconds: float
    caption: str | None  # None is unconditional
    codes: IntArray


@dataclass(frozen=True)
class Source:
    """What became of a file: the pieces that are used, those heard before, the first caption."""

    file: Path
    pieces: int
    seconds: float
    repeated: int
    caption: str


@dataclass(frozen=True)
class Skipped:
    """A file that is of no use, and why."""

    file: Path
    reason: str


@dataclass(frozen=True, eq=False)
class Material:
    """All that is learned from, and what was left out."""

    pieces: tuple[Piece, ...]
    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...]

    @property
    def seconds(self) -> float:
        return sum(piece.seconds for piece in self.pieces)


def fingerprint(pieces: Iterable[Piece]) -> str:
    """Pieces that are learned from alike have equal ones."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(json.dumps([piece.caption, piece.codes.shape]).encode())
        digest.update(piece.codes.astype("<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class _Encoded:
    """What is kept of a piece."""

    start: float
    seconds: float
    facts: Facts
    codes: IntArray
    likeness: FloatArray


def prepare(
    folder: Path,
    codec: StreamingCodec,
    codec_name: str,
    cache: Path,
    output: Path,
    words: str,
    progress: Progress,
) -> Material:
    """Cut, sift, encode and caption the sounds of a folder.

    Args:
        codec_name: another codec has another one.
        cache: the folder where codes are kept from one call to the next.
        output: a folder whose sounds do not count.
        words: the beginning of the captions that are written here.

    Raises:
        AudioError: nothing of it can be used; the message says why.
        OptionError, PromptError: captions that cannot be used, see ``read_captions``.
        OutputError: the codes cannot be kept.
    """
    files = files_in(folder, output)
    written = read_captions(folder, files)
    pieces: list[Piece] = []
    sources: list[Source] = []
    skipped: list[Skipped] = []
    seen: dict[str, Path] = {}
    prints: list[FloatArray] = []
    for done, file in enumerate(files):
        progress(done, len(files))
        try:
            digest = _digest(file)
            if digest in seen:
                raise AudioError(f"it is the same file as {seen[digest].relative_to(folder)}")
            encoded = _encoded(file, codec, cache / f"{_name(digest, codec_name)}.npz")
            if not encoded:
                raise AudioError("it is silent, or shorter than a few seconds")
        except AudioError as error:
            skipped.append(Skipped(file, str(error).removeprefix(f"{file} ")))
            continue
        seen[digest] = file
        used = [piece for piece in encoded if _is_new(piece.likeness, prints)]
        captions = [written.get(file) or piece.facts.caption(words) for piece in used]
        if not used:
            skipped.append(Skipped(file, "all of it is heard in other files"))
            continue
        for piece, caption in zip(used, captions, strict=True):
            pieces.append(Piece(file, piece.start, piece.seconds, caption, piece.codes))
        seconds = sum(piece.seconds for piece in used)
        repeated = len(encoded) - len(used)
        sources.append(Source(file, len(used), seconds, repeated, captions[0]))
    progress(len(files), len(files))
    if not pieces:
        raise AudioError(_nothing(folder, skipped))
    return Material(tuple(pieces), tuple(sources), tuple(skipped))


def _nothing(folder: Path, skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return f"{folder} holds no files: give a folder with sounds in it"
    named = "; ".join(f"{entry.file.name}: {entry.reason}" for entry in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"nothing in {folder} can be learned from ({named}{more}): give other sounds"


def _is_new(vector: FloatArray, prints: list[FloatArray]) -> bool:
    """Whether no piece before sounded the same; if so, it is remembered."""
    if prints and float((np.stack(prints) @ vector).max()) > ALIKE:
        return False
    prints.append(vector)
    return True


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"it cannot be read: {error.strerror or error}") from error


def _name(digest: str, codec: str) -> str:
    return hashlib.sha256(f"{FORMAT} {digest} {codec}".encode()).hexdigest()[:32]


def _encoded(file: Path, codec: StreamingCodec, place: Path) -> list[_Encoded]:
    """The pieces of a file, from what is kept of it, or now."""
    if (kept := _kept(place)) is not None:
        return kept
    made = []
    for cut in pieces_of(file):
        sound = to_channels(resample(cut.audio, codec.rate), codec.channels)
        made.append(
            _Encoded(
                start=cut.start,
                seconds=cut.audio.duration,
                facts=facts_of(cut.audio, cut.heard),
                codes=codec.encode(sound).ids,
                likeness=likeness(cut.audio),
            )
        )
    facts = [[piece.start, piece.seconds, asdict(piece.facts)] for piece in made]
    arrays = {"facts": np.array(json.dumps(facts))}
    for number, piece in enumerate(made):
        arrays[f"codes.{number}"] = piece.codes.astype(np.int16)
        arrays[f"likeness.{number}"] = piece.likeness
    store.keep(place, arrays)
    return made


def _kept(place: Path) -> list[_Encoded] | None:
    """What is kept of a file; nothing where that is absent or damaged."""
    arrays = store.kept(place)
    try:
        return (
            None
            if arrays is None
            else [
                _Encoded(
                    start,
                    seconds,
                    Facts(**facts),
                    arrays[f"codes.{number}"].astype(np.int64),
                    arrays[f"likeness.{number}"],
                )
                for number, (start, seconds, facts) in enumerate(json.loads(str(arrays["facts"])))
            ]
        )
    except (KeyError, ValueError, TypeError):
        return None
