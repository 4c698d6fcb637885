"""From a seed to a piece: draws a style, a form and a band, and lets each part write its notes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.corpus.accompaniment import COMPING, play_chords
from training.corpus.bass import PATTERNS, play_bass
from training.corpus.drums import GROOVES, fills_for, play_drums
from training.corpus.genres import GENRES, SOLOS, Genre, Solo
from training.corpus.harmony import harmony
from training.corpus.instruments import INSTRUMENTS, KITS
from training.corpus.melody import Melodist, Voice
from training.corpus.piece import CROSSED, HELD_OUT, Chord, Piece, Section, Track
from training.corpus.score import Event, Span, perform

SOLO_SHARE = 0.38
DENSITIES = ("sparse", "medium", "dense")
_GAINS = {
    "melody": 0.9,
    "bass": 0.95,
    "drums": 1.0,
    "chords": 0.62,
    "arpeggio": 0.6,
    "harmony": 0.5,
    "pad": 0.45,
}
_FORMS = ("AABA", "AABB", "ABAB", "AAAB", "ABAC", "AABC", "ABBA")
_LIVELY = {
    "energetic",
    "upbeat",
    "driving",
    "danceable",
    "festive",
    "fast",
    "aggressive",
    "anthemic",
    "intense",
    "angry",
    "fiery",
    "hot",
    "bouncy",
    "joyful",
    "passionate",
}
_QUIET = {
    "calm",
    "relaxed",
    "gentle",
    "peaceful",
    "serene",
    "cozy",
    "chill",
    "laid-back",
    "mellow",
    "meditative",
    "floating",
    "smouldering",
    "tender",
    "sad",
    "mournful",
    "rainy",
    "lonely",
    "somber",
    "solemn",
}


_LEADS = tuple(dict.fromkeys(lead for genre in GENRES.values() for lead in genre.leads))


@dataclass(frozen=True)
class _Plan:
    """The facts that every part needs."""

    genre: Genre
    tempo: float
    tonic: int
    mode: str
    meter: int
    density: str
    sections: tuple[tuple[str, int, int], ...]  # name, first bar, bars
    spans: tuple[tuple[Span, ...], ...]  # of each section


@dataclass(frozen=True)
class _Line:
    """A part as written, before it is performed."""

    role: str
    instrument: str
    events: list[Event]


def compose(seed: int, duration: float = 32.0) -> Piece:
    """The piece of that seed; the same seed and ``duration`` (seconds) give the same piece."""
    rng = np.random.default_rng(seed)
    crossed = CROSSED <= seed < HELD_OUT
    solo = _weighted(rng, SOLOS) if rng.random() < SOLO_SHARE and not crossed else None
    name = _pick(rng, solo.genres if solo else tuple(GENRES))
    genre = _crossed(GENRES[name]) if crossed else GENRES[name]
    tempo = float(rng.integers(genre.tempo[0], genre.tempo[1] + 1))
    mode = "major" if rng.random() < genre.major else "minor"
    tonic = int(rng.integers(12))
    density = _pick(rng, DENSITIES)
    swing = round(float(rng.uniform(*genre.swing)), 3)
    sections = _form(rng, duration, tempo, genre.meter)
    spans = _harmonise(rng, genre, sections, tonic, mode, tempo)
    plan = _Plan(genre, tempo, tonic, mode, genre.meter, density, sections, spans)

    lines = _write_solo(rng, plan, solo) if solo else _write_band(rng, plan)
    lead = _lead(lines)
    tracks = []
    for index, line in enumerate(lines):
        is_drum = line.role == "drums"
        gain = _GAINS[line.role] * float(rng.uniform(0.85, 1.15))
        if line is lead and line.role != "melody":
            gain = max(gain, 0.75)
        notes = perform(
            line.events,
            np.random.default_rng([seed, index]),
            tempo=tempo,
            swing=swing,
            unit=genre.swing_unit,
            looseness=genre.looseness * (0.6 if is_drum else 1.0),
            duration=duration,
        )
        program = KITS[line.instrument] if is_drum else INSTRUMENTS[line.instrument].program
        tracks.append(
            Track(
                line.role,
                line.instrument,
                program,
                is_drum,
                notes,
                round(gain, 3),
                0.0 if line.role in ("bass", "drums") else round(float(rng.uniform(-0.5, 0.5)), 2),
            )
        )
    seconds = 60.0 / tempo
    return Piece(
        seed=seed,
        genre=name,
        moods=_moods(rng, genre, mode, tempo),
        tempo=tempo,
        tonic=tonic,
        mode=mode,
        meter=genre.meter,
        swing=swing,
        density=_density(tracks, duration),
        production=_pick(rng, genre.productions),
        lead="drums" if lead.role == "drums" else INSTRUMENTS[lead.instrument].family,
        solo=solo is not None,
        has_drums=any(track.is_drum for track in tracks),
        duration=duration,
        sections=tuple(
            Section(
                letter,
                first * genre.meter * seconds,
                min((first + bars) * genre.meter * seconds, duration),
            )
            for letter, first, bars in sections
        ),
        chords=tuple(
            Chord(
                span.beat * seconds,
                min((span.beat + span.length) * seconds, duration),
                span.harmony.root,
                span.harmony.intervals,
                span.harmony.numeral,
            )
            for section in spans
            for span in section
            if span.beat * seconds < duration
        ),
        tracks=tuple(tracks),
    )


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _weighted(rng: np.random.Generator, solos: Sequence[Solo]) -> Solo:
    weights = np.array([solo.weight for solo in solos])
    return solos[int(rng.choice(len(solos), p=weights / weights.sum()))]


def _density(tracks: Sequence[Track], duration: float) -> str:
    """What is heard: how many distinct moments (30 ms) a second something starts."""
    starts = np.unique([round(note.start / 0.03) for track in tracks for note in track.notes])
    rate = (1 + np.count_nonzero(np.diff(starts) > 1)) / duration
    return "sparse" if rate < 3.0 else "dense" if rate > 5.8 else "medium"


def _moods(rng: np.random.Generator, genre: Genre, mode: str, tempo: float) -> tuple[str, ...]:
    unfit = _LIVELY if tempo < 90 else _QUIET if tempo > 135 else set()
    moods = [mood for mood in genre.moods[mode] if mood not in unfit]
    count = min(len(moods), int(rng.integers(1, 4)))
    return tuple(str(mood) for mood in rng.choice(moods, count, replace=False)) if count else ()


def _crossed(genre: Genre) -> Genre:
    """The genre led by what leads any, with drums or without.

    A model that heard each instrument in its own genres alone takes the genre for the instrument.
    """
    return replace(genre, leads=_LEADS, lead_chance=1.0, drums=0.6 if genre.grooves else 0.0)


def _form(
    rng: np.random.Generator, duration: float, tempo: float, meter: int
) -> tuple[tuple[str, int, int], ...]:
    """Sections of 4 or 8 bars that cover ``duration``."""
    total = math.ceil(duration * tempo / 60 / meter)
    length = 8 if total >= 24 or (total >= 14 and rng.random() < 0.4) else 4
    form = _pick(rng, _FORMS)
    return tuple(
        (form[index % len(form)], first, length)
        for index, first in enumerate(range(0, total, length))
    )


def _harmonise(
    rng: np.random.Generator,
    genre: Genre,
    sections: Sequence[tuple[str, int, int]],
    tonic: int,
    mode: str,
    tempo: float,
) -> tuple[tuple[Span, ...], ...]:
    """Each letter of the form has its progression, a token a bar (two at some fast tempos)."""
    options = genre.progressions[mode]
    stretch = 2 if tempo >= 136 and rng.random() < 0.4 else 1
    progressions: dict[str, list[str]] = {}
    continuing = 0
    placed = []
    for letter, first, bars in sections:
        if letter not in progressions:
            home = [text for text in options if re.match("(I|i)(?![IViv])", text)]
            same = letter != "A" and rng.random() < 0.35
            starts_home = letter == "A" and home and rng.random() < 0.75  # the key is heard
            text = _pick(rng, home if starts_home else options)
            if same:
                text = " ".join(progressions["A"])
            progressions[letter] = text.split()
        tokens = progressions[letter]
        offset = 0
        if len(tokens) > bars:  # a long progression (a blues) runs through the sections
            tokens, offset = progressions["A"], continuing
        spans = []
        for bar in range(bars):
            token = tokens[((offset + bar) // (1 if len(tokens) > 4 else stretch)) % len(tokens)]
            halves = token.split(",")
            length = genre.meter / len(halves)
            for index, numeral in enumerate(halves):
                beat = (first + bar) * genre.meter + index * length
                spans.append(Span(beat, length, harmony(numeral, tonic, mode)))
        continuing += bars
        placed.append(tuple(_merged(spans)))
    return tuple(placed)


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans of two bars where a chord stays, so that it is held and approached as one."""
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last and last.harmony == span.harmony and last.length < 2 * span.length:
            merged[-1] = Span(last.beat, last.length + span.length, last.harmony)
        else:
            merged.append(span)
    return merged


def _lead(lines: Sequence[_Line]) -> _Line:
    order = ("melody", "arpeggio", "chords", "pad", "harmony", "bass", "drums")
    return min(lines, key=lambda line: order.index(line.role))


def _fitting(styles: Sequence[str], meter: int) -> tuple[str, ...]:
    return tuple(
        style for style in styles if any(len(p) == meter * 4 for p in COMPING[style].patterns)
    )


def _write_band(rng: np.random.Generator, plan: _Plan) -> list[_Line]:
    genre = plan.genre
    size = rng.choice(["full", "trio", "duo"], p=[0.76, 0.16, 0.08])
    drums = rng.random() < genre.drums and size != "duo"
    parts = [part for part in genre.parts if rng.random() < part.chance]
    if size != "full" or not parts:
        parts = [genre.parts[0]]
    leads = bool(genre.leads) and (rng.random() < genre.lead_chance or size == "duo")
    lines: list[_Line] = []
    if leads:
        instrument = _pick(rng, genre.leads)
        lines.append(
            _Line("melody", instrument, _melody(rng, plan, instrument, rests=len(parts) > 1))
        )
    for index, part in enumerate(parts):
        instrument = _pick(rng, part.instruments)
        style = _pick(rng, _fitting(part.styles, plan.meter))
        low, high = _chord_range(part.role, instrument, style)
        always = index == 0 or rng.random() < 0.5
        lines.append(
            _Line(part.role, instrument, _chords(rng, plan, instrument, style, low, high, always))
        )
    if genre.bass and size != "duo":
        instrument = _pick(rng, genre.bass)
        lines.append(_Line("bass", instrument, _bass(rng, plan, instrument, alone=False)))
    if drums:
        lines.append(_Line("drums", _pick(rng, genre.kits), _drums(rng, plan)))
    return lines


def _write_solo(rng: np.random.Generator, plan: _Plan, solo: Solo) -> list[_Line]:
    kind = solo.instruments[0]
    if kind == "drums":
        return [_Line("drums", _pick(rng, plan.genre.kits), _drums(rng, plan))]
    if kind == "bass":
        instrument = _pick(rng, plan.genre.bass)
        return [_Line("bass", instrument, _bass(rng, plan, instrument, alone=True))]
    instrument = _pick(rng, solo.instruments)
    textures = [
        texture
        for texture in solo.textures
        if all(
            part in ("melody", "walking") or _fitting((part,), plan.meter)
            for part in texture.split("+")
        )
    ]
    lines: list[_Line] = []
    for part in _pick(rng, textures or ["melody"]).split("+"):
        if part == "melody":
            lines.insert(0, _Line("melody", instrument, _melody(rng, plan, instrument, alone=True)))
        elif part == "walking":
            lines.append(_Line("bass", instrument, _bass(rng, plan, instrument, alone=True)))
        else:
            role = "arpeggio" if part.startswith(("arp", "chip", "harp")) else "chords"
            low, high = _chord_range(role, instrument, part)
            lines.append(
                _Line(role, instrument, _chords(rng, plan, instrument, part, low, high, True))
            )
    return lines


def _chord_range(role: str, instrument: str, style: str) -> tuple[int, int]:
    """Where accompaniment is voiced: below the melody, above the bass."""
    low, high = {"pad": (48, 72), "arpeggio": (55, 79), "harmony": (52, 71)}.get(role, (48, 66))
    own = INSTRUMENTS[instrument]
    if COMPING[style].power:
        return max(own.low, 38), own.high
    low = max(low, own.low)
    return low, min(max(high, low + 16), own.high)


def _melody_range(instrument: str) -> tuple[int, int]:
    own = INSTRUMENTS[instrument]
    low = max(own.low, 64 if own.high >= 82 else own.high - 20)
    return low, min(own.high, max(low + 19, 84 if own.high >= 82 else 0))


def _melody(
    rng: np.random.Generator,
    plan: _Plan,
    instrument: str,
    *,
    rests: bool = False,
    alone: bool = False,
) -> list[Event]:
    """The tune; with ``rests`` it may be silent for a section."""
    own = INSTRUMENTS[instrument]
    low, high = _melody_range(instrument)
    density = _pick(rng, plan.genre.melody)
    if plan.tempo > 150 and density == "dense":
        density = "medium"
    if density == "sparse" and plan.genre.melody != ("sparse",) and (alone or plan.tempo < 72):
        density = "medium"  # or it would hardly move
    voice = Voice(
        low,
        high,
        density,
        pentatonic=rng.random() < plan.genre.pentatonic,
        legato=float(rng.uniform(0.9, 1.0)) if own.sustained else float(rng.uniform(0.75, 1.0)),
        sixteenths=plan.tempo < 112,
        mode=plan.mode,
        tonic=plan.tonic,
    )
    melodist = Melodist(rng, voice, plan.meter)
    events: list[Event] = []
    silent = int(rng.integers(len(plan.sections))) if rests and rng.random() < 0.25 else None
    if len(plan.sections) < 3:
        silent = None
    heard: set[str] = set()
    for index, ((letter, first, bars), spans) in enumerate(
        zip(plan.sections, plan.spans, strict=True)
    ):
        if index != silent:
            events += melodist.play(
                letter, spans, first_bar=first, bars=bars, varied=letter in heard
            )
            heard.add(letter)
    return events


def _chords(
    rng: np.random.Generator,
    plan: _Plan,
    instrument: str,
    style: str,
    low: int,
    high: int,
    always: bool,
) -> list[Event]:
    """A part in ``style``, the same at each return of a section; not ``always`` rests in A."""
    seeds = {letter: int(rng.integers(2**32)) for letter in "ABC"}
    own = INSTRUMENTS[instrument]
    events: list[Event] = []
    for index, ((letter, first, bars), spans) in enumerate(
        zip(plan.sections, plan.spans, strict=True)
    ):
        if not always and index == 0:
            continue
        events += play_chords(
            np.random.default_rng(seeds[letter]),
            style,
            spans,
            first_bar=first,
            bars=bars,
            meter=plan.meter,
            low=low,
            high=high,
            sustained=own.sustained,
        )
    return [event for event in events if own.low <= event.pitch <= own.high]


def _bass(rng: np.random.Generator, plan: _Plan, instrument: str, *, alone: bool) -> list[Event]:
    own = INSTRUMENTS[instrument]
    genre = plan.genre
    styles = [
        style
        for style in genre.bass_styles or ("walking",)
        if style == "walking" or any(len(p) == plan.meter * 4 for p in PATTERNS[style])
    ]
    style = _pick(rng, styles)
    seeds = {letter: int(rng.integers(2**32)) for letter in "ABC"}
    low = max(own.low, 31 if rng.random() < 0.5 else own.low)
    high = min(own.high, low + (24 if alone else 21))
    events: list[Event] = []
    for (letter, first, bars), spans in zip(plan.sections, plan.spans, strict=True):
        events += play_bass(
            np.random.default_rng(seeds[letter]),
            style,
            spans,
            first_bar=first,
            bars=bars,
            meter=plan.meter,
            low=low,
            high=high,
            busy=alone and plan.density != "sparse",
        )
    return events


def _drums(rng: np.random.Generator, plan: _Plan) -> list[Event]:
    grooves = [
        groove
        for groove in plan.genre.grooves
        if all(len(line) % (plan.meter * 4) == 0 for line in GROOVES[groove].values())
    ]
    main = _pick(rng, grooves)
    alike = [groove for groove in grooves if fills_for(groove) == fills_for(main)]
    other = _pick(rng, alike) if rng.random() < 0.5 else main
    events: list[Event] = []
    for letter, first, bars in plan.sections:
        events += play_drums(
            rng,
            other if letter == "B" else main,
            first_bar=first,
            bars=bars,
            meter=plan.meter,
            density=plan.density,
            crash=rng.random() < 0.7,
        )
    return events
