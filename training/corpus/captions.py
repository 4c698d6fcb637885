"""Captions: a piece's facts as a person would have asked for them, each time in other words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from training.corpus.compose import compose
from training.corpus.instruments import INSTRUMENTS
from training.corpus.piece import PITCH_NAMES, Piece, Track
from training.corpus.words import (
    ALONE,
    CHARACTER_WORDS,
    DENSITY_WORDS,
    ERAS,
    FIGURE_WORDS,
    GENRE_WORDS,
    GROOVE_WORDS,
    INSTRUMENT_WORDS,
    MODE_WORDS,
    PRODUCTION_WORDS,
    REMARKS,
    SCENES,
    SLOW_ONLY,
    TEMPO_WORDS,
)

_FLATS = {"C#": "Db", "Eb": "D#", "F#": "Gb", "Ab": "G#", "Bb": "A#"}
_BPM = (
    "{} bpm",
    "{} BPM",
    "{}bpm",
    "at {} bpm",
    "tempo {}",
    "bpm: {}",
    "{} beats per minute",
    "{} bpm",
    "tempo of {} bpm",
)
_NOUNS = ("track", "piece", "song", "tune", "instrumental", "music", "groove", "loop", "melody")
_OPENINGS = (
    "",
    "",
    "",
    "",
    "make ",
    "make me ",
    "I want ",
    "give me ",
    "please create ",
    "play ",
    "generate ",
    "I'd like ",
    "create ",
    "something like ",
    "compose ",
)
_NO_DRUMS = ("no drums", "without drums", "drumless", "no percussion", "no beat")
_PLURAL = (
    "drums",
    "strings",
    "brushes",
    "horns",
    "voices",
    "pads",
    "beats",
    "bells",
    "chords",
    "riffs",
    "oohs",
    "guitars",
    "violins",
    "trumpets",
    "synthesizers",
    "vibes",
    "mallets",
    "bleeps",
    "brass",
    "percussion",
    "synths",
    "808",
)
# Words of a genre that name what a solo, or a band without drums, does not have.
_BAND_WORDS = re.compile(r"guitar|synth|orchest|combo|club|acoustic|song|score|trailer|chamber")
_BEAT_WORDS = re.compile(r"beat|drum|dance|808|groove|rave|jam\b|club")


def caption(piece: Piece, rng: np.random.Generator) -> str:
    """A prompt that ``piece`` answers. It says less than the piece holds, and nothing false."""
    kind = rng.random()
    if kind < 0.14:
        text = _few_words(piece, rng)
    elif kind < 0.46:
        text = _tags(piece, rng)
    elif kind < 0.72 or piece.solo:
        text = _sentence(piece, rng)
    else:
        text = _description(piece, rng)
    return _styled(text, rng)


def caption_samples(n: int, seed: int, *, each: int = 8) -> Iterator[str]:
    """``n`` captions of training pieces, ``each`` of a piece, without rendering them."""
    rng = np.random.default_rng(seed)
    for index in range(n):
        if index % each == 0:
            piece = compose(int(rng.integers(10**9)))
        yield caption(piece, rng)


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _with_article(text: str) -> str:
    if text.endswith(_PLURAL) or text.startswith(("a ", "an ", "only ", "just ", "nothing ")):
        return text
    return f"{'an' if text[0].lower() in 'aeiou' or text.startswith('8') else 'a'} {text}"


def _genre(piece: Piece, rng: np.random.Generator) -> str:
    options = list(GENRE_WORDS[piece.genre])
    if piece.genre == "chamber" and not piece.solo:
        options += ["string quartet", "string quartet"]
    first = options[0]
    if piece.tempo >= 84:
        options = [word for word in options if word not in SLOW_ONLY]
    if piece.solo:
        options = [word for word in options if not _BAND_WORDS.search(word)]
    if not piece.has_drums:
        options = [word for word in options if not _BEAT_WORDS.search(word)]
    if not options:
        return first
    return first if rng.random() < 0.35 and first in options else _pick(rng, options)


def _instrument(piece: Piece, rng: np.random.Generator, name: str) -> str:
    words = INSTRUMENT_WORDS[name]
    return words[0] if rng.random() < 0.4 else _pick(rng, words)


def _alone(piece: Piece, rng: np.random.Generator) -> str:
    name = _instrument(piece, rng, piece.instruments[0])
    pattern = _pick(rng, ALONE)
    if pattern in ("a single {x}", "a lone {x}", "just a {x}") and name.endswith(_PLURAL):
        pattern = "just {x}"
    return pattern.format(x=name)


def _instruments(piece: Piece, rng: np.random.Generator, most: int) -> str:
    """The band: the leading instrument nearly always, the others now and then."""
    names = list(piece.instruments)
    lead = names[0] if rng.random() < 0.9 else None
    others = [name for name in names if name != lead]
    rng.shuffle(others)
    chosen = ([lead] if lead else []) + others[: int(rng.integers(0 if lead else 1, most))]
    texts = list(dict.fromkeys(_instrument(piece, rng, name) for name in chosen))
    if len(texts) > 1 and rng.random() < 0.75:
        return _listed(texts)
    return ", ".join(texts)


def _listed(texts: Sequence[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def _players(piece: Piece, rng: np.random.Generator, most: int = 3) -> str:
    return _alone(piece, rng) if piece.solo else _instruments(piece, rng, most)


def _tempo_word(piece: Piece, rng: np.random.Generator) -> str:
    words = next(words for low, high, words in TEMPO_WORDS if low <= piece.tempo < high)
    return _pick(rng, words)


def _tempo(piece: Piece, rng: np.random.Generator) -> str:
    if rng.random() < 0.65:
        return _pick(rng, _BPM).format(round(piece.tempo))
    return _tempo_word(piece, rng)


def _key(piece: Piece, rng: np.random.Generator) -> str:
    name = PITCH_NAMES[piece.tonic]
    if name in _FLATS and rng.random() < 0.4:
        name = _FLATS[name]
    if rng.random() < 0.25:
        return f"{piece.mode} key"
    if rng.random() < 0.15:
        return f"{name}m" if piece.mode == "minor" else f"{name} maj"
    return f"{name} {piece.mode}"


def _mood(piece: Piece, rng: np.random.Generator) -> str:
    if piece.moods and rng.random() < 0.7:
        return _pick(rng, piece.moods)
    if piece.lead == "drums":  # drums alone are neither major nor minor
        return _tempo_word(piece, rng)
    return _pick(rng, MODE_WORDS[piece.mode])


def _colour(piece: Piece, rng: np.random.Generator) -> str:
    """A word on production, density, groove or scene."""
    options = [_pick(rng, PRODUCTION_WORDS[piece.production])]
    if piece.density in DENSITY_WORDS:
        options.append(_pick(rng, DENSITY_WORDS[piece.density]))
    if piece.genre in SCENES:
        options.append(_pick(rng, SCENES[piece.genre]))
    if not piece.has_drums and piece.lead != "drums":
        options.append(_pick(rng, _NO_DRUMS))
    roles = {track.role for track in piece.tracks}
    if piece.has_drums and not piece.solo and piece.genre in GROOVE_WORDS:
        word = _pick(rng, GROOVE_WORDS[piece.genre])
        if ("bass" not in word or "bass" in roles) and ("arp" not in word or "arpeggio" in roles):
            options.append(word)
    if piece.swing > 0.6:
        options.append(_pick(rng, ("swung", "swing feel", "swinging")))
    if piece.meter == 3:
        options.append(_pick(rng, ("3/4", "in three", "3/4 time", "waltz time")))
    return _pick(rng, options)


def _few_words(piece: Piece, rng: np.random.Generator) -> str:
    genre = _genre(piece, rng)
    name = _instrument(piece, rng, piece.instruments[0])
    if piece.solo:
        alone = _alone(piece, rng)
        return _pick(
            rng,
            (
                alone,
                f"{genre} {name} solo",
                f"{_mood(piece, rng)} {name} only",
                f"{alone}, {genre}",
                f"{alone}, {_tempo(piece, rng)}",
                f"solo {genre} {name}",
            ),
        )
    return _pick(
        rng,
        (
            genre,
            f"{_mood(piece, rng)} {genre}",
            f"{genre} {name}",
            name,
            f"{_mood(piece, rng)} {name}",
            f"{_tempo_word(piece, rng)} {genre}",
            f"{genre} {_tempo(piece, rng)}",
            f"{genre} with {name}",
        ),
    )


def _tags(piece: Piece, rng: np.random.Generator) -> str:
    genre = _genre(piece, rng)
    parts: list[str] = []
    if piece.solo:
        parts.append(_alone(piece, rng))
        if rng.random() < 0.7:
            parts.append(genre)
    elif rng.random() < 0.4:
        parts.append(f"{genre} {_instrument(piece, rng, piece.instruments[0])}")
    else:
        if rng.random() < 0.93:
            parts.append(genre)
        if rng.random() < 0.8 or not parts:
            parts.append(_instruments(piece, rng, 4))
    for make, chance in (
        (_mood, 0.65),
        (_tempo, 0.6),
        (_colour, 0.45),
        (_mood, 0.2),
        (_colour, 0.2),
    ):
        if rng.random() < chance:
            parts.append(make(piece, rng))
    if piece.lead != "drums" and rng.random() < 0.25:
        parts.append(_key(piece, rng))
    parts = list(dict.fromkeys(parts))
    if rng.random() < 0.35:
        rng.shuffle(parts)
    return _pick(rng, (", ", ", ", ", ", ", ", " ", "; ", " - ")).join(parts)


def _sentence(piece: Piece, rng: np.random.Generator) -> str:
    genre, mood = _genre(piece, rng), _mood(piece, rng)
    pace = _tempo_word(piece, rng)
    words = [word for word, chance in ((pace, 0.35), (mood, 0.75)) if rng.random() < chance]
    if piece.solo:
        name = _instrument(piece, rng, piece.instruments[0])
        adjectives = " ".join([*words[:2], genre if rng.random() < 0.7 else ""]).strip()
        head = _pick(
            rng,
            (
                f"{adjectives} {_pick(rng, ('solo', 'unaccompanied'))} {name}".strip(),
                f"{adjectives} piece for {name} alone".strip(),
                f"{adjectives} {name} solo".strip(),
                f"{adjectives} performance on {name} only, nothing else".strip(),
            ),
        )
        body = _with_article(head)
    else:
        noun = _pick(rng, _NOUNS)
        head = _with_article(f"{' '.join(words)} {genre} {noun}".strip())
        if noun == "music":
            head = f"{' '.join(words)} {genre} music".strip()
        players = _instruments(piece, rng, 4)
        body = head
        if rng.random() < 0.85:
            body += _pick(
                rng,
                (
                    f" with {players}",
                    f" featuring {players}",
                    f" played on {players}",
                    f", {players}",
                    f" with {players}",
                    f" led by {_instrument(piece, rng, piece.instruments[0])}",
                ),
            )
    if rng.random() < 0.3 and piece.lead != "drums":
        body += f" in {_key_phrase(piece, rng)}"
    if rng.random() < 0.4:
        body += _pick(
            rng, (" at {} bpm", ", {} bpm", " around {} bpm", " at {} BPM", ", tempo {}")
        ).format(round(piece.tempo))
    text = _pick(rng, _OPENINGS) + body
    if rng.random() < 0.3:
        text += _pick(rng, (". ", ", ", ". ")) + _colour(piece, rng)
    if rng.random() < 0.15:
        text += _pick(
            rng,
            (
                f". The mood is {_mood(piece, rng)}.",
                f", {_mood(piece, rng)} feel",
                f", {_mood(piece, rng)} mood",
                f". It feels {_mood(piece, rng)}",
            ),
        )
    return text


def _description(piece: Piece, rng: np.random.Generator) -> str:
    """A band as people describe one to a program: with adjectives, and more than can be heard."""
    words = [
        word
        for word, chance in (
            (_mood(piece, rng), 0.45),
            (_tempo_word(piece, rng), 0.2),
            (_pick(rng, ERAS), 0.25),
        )
        if rng.random() < chance
    ]
    noun = _pick(rng, _NOUNS)
    head = " ".join([*words, _genre(piece, rng), noun])
    if noun != "music" and rng.random() < 0.4:
        head = _with_article(head)
    lead, *others = piece.tracks if rng.random() < 0.9 else rng.permutation(piece.tracks)
    rng.shuffle(others)
    tracks = [lead, *others[: int(rng.integers(0, 3))]]
    players = list(dict.fromkeys(_in_character(track, rng) for track in tracks))
    listed = _listed(players)
    text = head
    if rng.random() < 0.9:
        text += _pick(
            rng, (f" with {listed}", f", {listed}", f" featuring {listed}", f": {listed}")
        )
    parts = []
    for make, chance in (
        (lambda: _pick(rng, REMARKS), 0.4),
        (lambda: _colour(piece, rng), 0.25),
        (lambda: _tempo(piece, rng), 0.4),
        (lambda: f"{_mood(piece, rng)} {_pick(rng, ('mood', 'feel', 'vibe', 'atmosphere'))}", 0.2),
        (lambda: "" if piece.lead == "drums" else _key(piece, rng), 0.15),
    ):
        if rng.random() < chance:
            parts.append(make())
    separator = _pick(rng, (". ", ", ", ", "))
    return separator.join([text, *filter(None, parts)])


def _in_character(track: Track, rng: np.random.Generator) -> str:
    """The name of its instrument, with an adjective before it or what it plays behind it."""
    words = INSTRUMENT_WORDS[track.instrument]
    name = words[0] if rng.random() < 0.5 else _pick(rng, words)
    family = "drums" if track.is_drum else INSTRUMENTS[track.instrument].family
    if family in CHARACTER_WORDS and rng.random() < 0.6:
        name = f"{_pick(rng, CHARACTER_WORDS[family])} {name}"
    if track.role in FIGURE_WORDS and not name.endswith(_PLURAL) and rng.random() < 0.3:
        return f"{name} {_pick(rng, FIGURE_WORDS[track.role])}"
    return _with_article(name) if rng.random() < 0.3 else name


def _key_phrase(piece: Piece, rng: np.random.Generator) -> str:
    key = _key(piece, rng)
    return f"a {key}" if key.endswith("key") else key


def _styled(text: str, rng: np.random.Generator) -> str:
    """Case and punctuation as people vary them."""
    text = re.sub(r"\b(\w+)( \1\b)+", r"\1", re.sub(r"\s+", " ", text).strip())
    case = rng.random()
    if case < 0.5:
        text = text.lower()
    elif case < 0.8:
        text = text[0].upper() + text[1:]
        text = re.sub(r"\. ([a-z])", lambda match: f". {match[1].upper()}", text)
    elif case < 0.84:
        text = text.title() if "'" not in text else text
    if rng.random() < 0.2 and text[-1].isalnum():
        text += _pick(rng, (".", ".", "!"))
    return text
