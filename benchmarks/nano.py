"""nano beside what it is meant to reach: ``python -m benchmarks.nano``.

Two takes of every prompt of ``benchmarks.adherence`` are set against held-out renders that are led
by the same instrument, with drums and alone as asked. What is printed of both:

- tempo, mode, drums and instrument, as ``benchmarks.adherence`` does it; the key, tonic and mode;
  and where a prompt wants one instrument and nothing else, whether it is that one and alone.
  What the bar is for is the share of what real renders reach.
- Frechet distance: from the takes to the renders, over that from one half of the renders to the
  other, in the space of plain statistics of ``cadenza evaluate``; it is not FAD.
- variety: how far two takes of one prompt are apart, over the distance of a take's two halves.
- replay: takes that are, note by note, nearer to a piece of the training than to any of as many
  pieces that were held out. A half is chance; a model that replays comes near to the whole.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.adherence import BARS, figures
from benchmarks.alone import Alone, taught
from benchmarks.answers import answers
from benchmarks.codecs import codec_of, round_trip
from benchmarks.features import batch, extract
from benchmarks.judge import Judge, judge_for
from benchmarks.labels import MODES, Labels
from benchmarks.pieces import EXCERPT_SECONDS, PIECE_SECONDS, RATE, Excerpt, excerpts
from benchmarks.prompts import Prompt, read_prompts
from benchmarks.replay import likeness
from benchmarks.table import table, write_json
from benchmarks.takes import add_choosing, chosen, takes
from benchmarks.verdicts import Verdict
from cadenza.codec import Codec
from cadenza.evaluation.embedding import Values, embed
from cadenza.evaluation.frechet import distance, fitted
from cadenza.evaluation.nearness import between_halves
from cadenza.evaluation.variety import variety_of
from cadenza.types import Audio, FloatArray, Key
from training.corpus.compose import compose
from training.corpus.piece import CROSSED, HELD_OUT, Piece

MODEL = "nano"
GUIDANCE = 3.0
EACH = 2  # takes of a prompt
# nano was trained on all but 384 of the first pieces from seed 0, and on the first crossed ones.
TRAINED = (*range(11008), *range(CROSSED, CROSSED + 2048))
CONTROLS = 40  # of them, to see that a replay would be found
CONTROL_START = 7.3  # seconds; not where a bar begins
KEY_BAR, ALONE_BAR, FRECHET_BAR, VARIETY_BAR, REPLAY_BAR = 0.6, 0.85, 3.0, 1.0, 0.6
UNSEEN = HELD_OUT + 1_000_000  # the first seed of as many pieces that nobody was taught on


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    takes: str
    renders: str
    value: float  # what the bar is for
    bar: float
    unit: str = "%"
    most: bool = False  # whether the bar is the most that is allowed, not the least

    @property
    def reached(self) -> bool:
        """Whether the value is on the right side of the bar."""
        return self.value <= self.bar if self.most else self.value >= self.bar

    def cells(self) -> list[str]:
        """As it is printed."""
        bar = f"{'≤' if self.most else '≥'} {_shown(self.bar, self.unit)}"
        verdict = "reached" if self.reached else "missed"
        return [self.name, self.takes, self.renders, _shown(self.value, self.unit), bar, verdict]


@dataclass(frozen=True)
class Heard:
    """What is heard in a sound."""

    labels: Labels
    key: Key
    alone: bool


def listen(judge: Judge, ear: Alone, sounds: Sequence[FloatArray]) -> list[Heard]:
    """Each of ``sounds``, ten seconds mono."""
    seen = batch([extract(sound[None]) for sound in sounds], 0)
    with torch.inference_mode():
        keys = judge.listener.key(torch.from_numpy(seen.pitches).float()).flatten(1).argmax(-1)
    return [
        Heard(labels, Key(key % 12, MODES[key // 12]), single)
        for labels, key, single in zip(
            judge.listener.hear(seen), keys.tolist(), ear.hear(seen.colour), strict=True
        )
    ]


def adherence(judge: Judge, prompts: Sequence[Prompt], ours: Sequence[Heard]) -> list[Row]:
    """What ``benchmarks.adherence`` says of the same takes."""
    pairs = zip(prompts, ours, strict=True)
    verdicts = [Verdict(prompt.labels, heard.labels) for prompt, heard in pairs]
    return [
        Row(
            name,
            _with_error(row["takes"], row["takes asked"]),
            f"{row['real renders']:.0%}",
            row["share"],
            BARS[name],
        )
        for name, row in figures(judge, verdicts).items()
    ]


def keys_and_solos(
    prompts: Sequence[Prompt],
    ours: Sequence[Heard],
    renders: Sequence[Excerpt],
    theirs: Sequence[Heard],
) -> list[Row]:
    """Where a prompt asks for a key, or for one instrument alone; renders have their own keys."""
    pieces = [render.piece for render in renders]
    keys = [
        [
            heard.key == prompt.key
            for prompt, heard in zip(prompts, ours, strict=True)
            if prompt.key
        ],
        [
            heard.key == Key(piece.tonic, piece.mode)
            for piece, heard in zip(pieces, theirs, strict=True)
            if piece.lead != "drums"
        ],
    ]
    solos = [
        [
            heard.alone and heard.labels.instrument == prompt.labels.instrument
            for prompt, heard in zip(prompts, part, strict=True)
            if prompt.solo
        ]
        for part in (ours, theirs)
    ]
    return [_rights("key", *keys, KEY_BAR), _rights("one instrument alone", *solos, ALONE_BAR)]


def distances(
    prompts: Sequence[Prompt], ours: Sequence[Values], theirs: Sequence[Values]
) -> list[Row]:
    """Frechet distance and variety, of points of the embedding."""
    ratio = frechet_ratio(ours, theirs)
    texts = [prompt.text for prompt in prompts]
    apart = []
    for points in (ours, theirs):
        variety = variety_of(points, texts)
        apart.append(variety.in_halves(variety.same_prompt) or math.nan)
    return [
        Row("Frechet distance", _shown(ratio, "×"), _shown(1, "×"), ratio, FRECHET_BAR, "×", True),
        Row("variety", *(_shown(value, "×") for value in apart), apart[0], VARIETY_BAR, "×"),
    ]


def frechet_ratio(ours: Sequence[Values], theirs: Sequence[Values]) -> float:
    """The distance from ours to theirs, in distances between halves of theirs."""
    halves = between_halves(theirs)
    assert halves
    return distance(*(fitted(np.concatenate(points)) for points in (ours, theirs))) / halves


def replay(
    codec: Codec,
    ours: Sequence[FloatArray],
    theirs: Sequence[FloatArray],
    trained: Sequence[int],
) -> tuple[Row, float]:
    """The shares that are nearer to a training piece, given by seeds, than to any of as many that
    are not.

    Half of all music is by chance. The second is that of training pieces through the codec and
    back: it says how sure a replay would be found.
    """
    known = [piece for piece in map(_trained, range(CONTROLS)) if piece.lead != "drums"]
    controls = [round_trip(codec, excerpts(piece, CONTROL_START)[0].samples) for piece in known]
    sounds = [*ours, *theirs, *controls]
    near, far = (
        likeness(sounds, seeds).max(axis=1)
        for seeds in (trained, range(UNSEEN, UNSEEN + len(trained)))
    )
    takes, renders, found = (
        float(part.mean()) for part in np.split(near > far, [len(ours), len(ours) + len(theirs)])
    )
    made = _with_error(takes, len(ours))
    return Row("nearer to training", made, f"{renders:.0%}", takes, REPLAY_BAR, most=True), found


def _trained(seed: int) -> Piece:
    return compose(seed, PIECE_SECONDS)


def _rights(name: str, ours: Sequence[bool], theirs: Sequence[bool], bar: float) -> Row:
    right, renders = float(np.mean(ours)), float(np.mean(theirs))
    return Row(name, _with_error(right, len(ours)), f"{renders:.0%}", right / renders, bar)


def _with_error(share: float, count: float) -> str:
    return f"{share:.0%} ± {100 * math.sqrt(share * (1 - share) / count):.0f}"


def _shown(value: float, unit: str) -> str:
    return f"{value:.0%}" if unit == "%" else f"{value:.2f} {unit}"


def measure(
    each: int, trained: Sequence[int], options: Mapping[str, Any]
) -> tuple[list[Row], list[str]]:
    """The rows and what to say below, of ``each`` takes of every prompt, made with ``options`` of
    :func:`benchmarks.takes.takes`."""
    judge, codec = judge_for(MODEL), codec_of(MODEL)
    prompts = [prompt for prompt in read_prompts() for _ in range(each)]
    made = takes(MODEL, prompts, EXCERPT_SECONDS, GUIDANCE, **options)
    sounds = list(made)
    renders = answers(prompts)
    real = [render.samples for render in renders]
    trips = [round_trip(codec, sound) for sound in real]

    ear = taught(judge.listener)
    ours, theirs = listen(judge, ear, sounds), listen(judge, ear, real)
    points, real_points, trip_points = (
        [embed(Audio(sound[None], RATE)) for sound in part] for part in (sounds, real, trips)
    )
    pitched = [place for place, render in enumerate(renders) if render.piece.lead != "drums"]
    parts = ([part[place] for place in pitched] for part in (sounds, real))
    copies, found = replay(codec, *parts, trained)
    rows = [
        *adherence(judge, prompts, ours),
        *keys_and_solos(prompts, ours, renders, theirs),
        *distances(prompts, points, real_points),
        copies,
    ]
    through = frechet_ratio(trip_points, real_points)
    notes = [
        f"{len(sounds)} takes of {len(prompts) // each} prompts, as many real renders",
        f"Frechet distance of the codec alone, on the same renders: {through:.2f} ×",
        f"training pieces through the codec, nearer to one of the {len(trained)}: {found:.0%}",
    ]
    return rows, notes


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nano",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--takes", type=int, default=EACH, help="of each prompt, two at least")
    parser.add_argument(
        "--trained", type=int, default=len(TRAINED), help="training pieces to compare with"
    )
    add_choosing(parser)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()

    rows, notes = measure(options.takes, TRAINED[: options.trained], chosen(options))
    lines = [row.cells() for row in rows]
    print(table(["", "takes", "real renders", "for the bar", "bar", ""], lines))
    print("", *notes, sep="\n")
    if options.json:
        written = [dataclasses.asdict(row) | {"reached": row.reached} for row in rows]
        write_json(options.json, {"rows": written, "notes": notes})


if __name__ == "__main__":
    main()
