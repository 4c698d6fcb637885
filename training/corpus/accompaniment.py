"""Comping, strumming, arpeggios and pads: patterns played on voice-led chords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.corpus.harmony import near, voice, within
from training.corpus.score import Event, Span, span_at

# One character a sixteenth: X and x the chord, d and u strummed down and up, t its upper notes,
# s a muted scratch, b the root below, f the fifth below, a digit one note of it (counting on into
# the next octave), - hold, . rest.


@dataclass(frozen=True)
class Comping:
    """``free`` draws another pattern each bar; otherwise one holds, changed at phrase ends."""

    patterns: tuple[str, ...]
    free: bool = False
    voices: int = 4
    rootless: bool = False
    spread: bool = False
    power: bool = False  # root, fifth, octave, low on the strings


COMPING: dict[str, Comping] = {
    "whole": Comping(("X---------------",)),
    "pad": Comping(("X---------------",), spread=True),
    "half": Comping(("X-------x-------",)),
    "chorale": Comping(
        ("X-------x-------", "X---x---x-------", "X-------x---x---"), True, spread=True
    ),
    "quarters": Comping(("X---x---X---x---",), voices=3),
    "pulse": Comping(("X-x-x-x-X-x-x-x-",), voices=3),
    "push": Comping(("X-----X-------x-", "X-----x---x-----", "X-----x-..x---x-")),
    "house": Comping(("X..x..x...X..x..", "..x...x...x...x.", "X..X..X.....X..."), rootless=True),
    "stabs": Comping(("..X...X...X...X.", "..X..X....X..X..")),
    "techno": Comping(("...X.....X......", "X..X..X.........", "......X....X....")),
    "skank": Comping(("..X...X...X...X.",), voices=3),
    "skank_double": Comping(("..Xx..Xx..Xx..Xx", "..X...X...X...Xx"), voices=3),
    "jazz": Comping(
        (
            "X-----x---------",
            "......X-----x---",
            "x---......x-....",
            "....X-....x-....",
            "..x-....X-----..",
            "X---....x-x-....",
            "......x-........",
        ),
        True,
        rootless=True,
    ),
    "lofi": Comping(
        ("X---------x-----", "X-----x---------", "X--x------x-----", "X---------------"),
        True,
        rootless=True,
    ),
    "bossa": Comping(("X--x--x---x--x--", "x-..x-..X--x--x-", "X--x---x--x--x--"), rootless=True),
    "funk": Comping(("x.s.ssx.s.x.ssx.", "X...s.sXs.s.X.ss", "s.sxs.s.X.s.s.xs"), voices=3),
    "clav": Comping(("x.xx..x.x..x.xx.", "X..x.x.xX..x..x."), voices=3),
    "gospel": Comping(("X---x-x-X-x-x---", "X-----x-X---x-x-")),
    "strum": Comping(("d---d-u---u-d-u-", "d---d-u-..u-d-u-", "d-----d---u-d-u-"), voices=4),
    "strum_slow": Comping(("d-------d---d-u-", "d---------d-d---")),
    "strum_fast": Comping(("d-d-dud-d-dudud-", "d-dud-dud-dud-du")),
    "pick": Comping(("b-1-2-1-f-1-2-1-", "b-2-1-2-f-2-1-3-", "b-1-2-3-f-3-2-1-"), voices=3),
    "travis": Comping(("b-1-f23-b-1-f-2-", "b-2-f-1-b2--f-1-"), voices=3),
    "boom_chick": Comping(("b---t---f---t---", "b---t---f---t-t-"), voices=4),
    "stride": Comping(("b---t---f---t---",), voices=4, rootless=True),
    "ragtime": Comping(("b-..t-..f-..t-..", "b-..t-..b-..t-..")),
    "alberti": Comping(("0-2-1-2-0-2-1-2-",), voices=3),
    "broken": Comping(("b-0-1-2-3-2-1-0-", "b-0-1-2-1-0-1-2-"), voices=3),
    "nocturne": Comping(("b-1-2-1-3-2-1-2-", "b---1-2-3---2-1-"), voices=3, spread=True),
    "rolling": Comping(("b0121012b0121012", "b0120121b0123210"), voices=3),
    "arp_up": Comping(("0123012301230123", "0123456701234567"), voices=4),
    "arp_wave": Comping(("0123432101234321", "0120321023413012"), voices=4),
    "arp_eighth": Comping(("0-1-2-3-4-3-2-1-", "0-2-1-3-2-4-3-2-"), voices=4),
    "arp_slow": Comping(("0---1---2---3---", "0---2---1---3---"), voices=4),
    "arp_gate": Comping(("0.23.12.30.12.3.", "0..1.2..0..3.2.1"), voices=4),
    "harp": Comping(("0-1-2-3-4-5-6-7-", "0-1-2-3-4-5-4-3-"), voices=4),
    "chip_arp": Comping(("0120120120120120", "0121012101210121"), voices=3),
    "power": Comping(("x-x-x-x-x-x-x-x-", "x-x-x-x-x-x-X-X-"), power=True),
    "power_long": Comping(("X-------X-----x-", "X-----X---------"), power=True),
    "gallop": Comping(("x-xxx-xxx-xxx-xx", "X-xxx-xxX-xxX-X-"), power=True),
    "chug": Comping(("xxx.xx.xxx.xX---", "x.xx.xx.x.xxX-x-"), power=True),
    "ostinato": Comping(("x-x-xxx-x-x-xxx-", "x-xxx-x-x-xxx-x-"), voices=3),
    "waltz": Comping(("b---t---t---", "f---t---t---"), voices=3),
    "waltz_arp": Comping(("b-0-1-2-1-0-", "b-0-2-1-2-0-"), voices=3),
    "waltz_block": Comping(("X-----------", "X-------x---"), spread=True),
    "waltz_jazz": Comping(("X-----x-----", "....X-..x---", "X-......x-.."), True, rootless=True),
    "waltz_strum": Comping(("d---d-u-d-u-", "d---d---d-u-")),
}


def play_chords(
    rng: np.random.Generator,
    style: str,
    spans: Sequence[Span],
    *,
    first_bar: int,
    bars: int,
    meter: int,
    low: int,
    high: int,
    sustained: bool = False,
) -> list[Event]:
    """``bars`` bars of ``style`` on ``spans``, voiced between ``low`` and ``high``."""
    comping = COMPING[style]
    patterns = [p for p in comping.patterns if len(p) == meter * 4]
    if not patterns:
        raise ValueError(f"the style {style!r} does not have bars of {meter} beats")
    voicings: list[tuple[int, ...]] = []
    for span in spans:
        if comping.power:
            root = within(near(span.harmony.root, low), low, low + 11)
            voicings.append((root, root + 7, root + 12))
            continue
        voicings.append(
            voice(
                span.harmony,
                voicings[-1] if voicings else None,
                low=low,
                high=high,
                voices=min(comping.voices, max(3, len(set(span.harmony.pitch_classes)))),
                rootless=comping.rootless,
                spread=comping.spread,
            )
        )
    main = patterns[int(rng.integers(len(patterns)))]
    events: list[Event] = []
    for bar in range(first_bar, first_bar + bars):
        turn = comping.free or (bar - first_bar) % 4 == 3
        line = patterns[int(rng.integers(len(patterns)))] if turn else main
        struck = "x"
        for step, mark in enumerate(line):
            beat = bar * meter + step / 4
            index = span_at(spans, beat)
            changes = step > 0 and mark == "-" and abs(spans[index].beat - beat) < 1e-6
            if mark == "." or (mark == "-" and not changes):
                continue
            length = 1
            while step + length < len(line) and line[step + length] == "-":
                length += 1
            held = min(length / 4, spans[index].beat + spans[index].length - beat)
            struck = struck if changes else mark  # a held chord follows the harmony
            chord = voicings[index]
            events.extend(
                _strike(struck, beat, held, chord, spans[index].harmony.root, step, low, sustained)
            )
    return events


def _strike(
    mark: str,
    beat: float,
    length: float,
    chord: Sequence[int],
    root: int,
    step: int,
    low: int,
    sustained: bool,
) -> list[Event]:
    accent = 0.06 if step % 8 == 0 else 0.0
    if mark in "bf":
        bass = within(near(root, low - 5), max(28, low - 12), low + 2)
        if mark == "f":
            bass = bass - 5 if bass - 5 >= max(28, low - 14) else bass + 7
        return [Event(beat, max(length, 1.0), bass, 0.74 + accent)]
    if mark.isdigit():
        turn, index = divmod(int(mark), len(chord))
        ring = length if sustained else max(length, 0.5)
        return [Event(beat, ring, chord[index] + 12 * turn, 0.64 + accent)]
    if mark == "s":
        return [Event(beat, 0.08, pitch, 0.36) for pitch in chord]
    force = {"X": 0.78, "x": 0.68, "d": 0.74, "u": 0.58, "t": 0.58}[mark] + accent
    if mark == "t":
        return [Event(beat, length * 0.8, pitch, force) for pitch in chord[-3:]]
    if mark in "du":
        order = chord if mark == "d" else tuple(reversed(chord))
        return [
            Event(beat + 0.025 * index, length, pitch, force - 0.02 * index)
            for index, pitch in enumerate(order)
        ]
    return [Event(beat, length * 0.95, pitch, force) for pitch in chord]
