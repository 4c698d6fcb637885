"""Drum grooves as patterns, one character a sixteenth, and how a drummer plays them."""

from __future__ import annotations

import numpy as np

from training.corpus.instruments import PERCUSSION
from training.corpus.score import Event

# X accent, x normal, o soft, g ghost, ? a ghost now and then, . silence. A bar of four beats has
# 16 characters, of three 12; twice as many make a pattern of two bars.
_FORCE = {"X": 0.98, "x": 0.8, "o": 0.58, "g": 0.34, "?": 0.34}

GROOVES: dict[str, dict[str, str]] = {
    "rock": {"kick": "X.......X.x.....", "snare": "....X.......X..?", "hat": "X.o.x.o.X.o.x.o."},
    "rock_push": {
        "kick": "X.....x.X.......X.....x...x.....",
        "snare": "....X..?....X.......X..?....X.?.",
        "hat": "X.o.X.o.X.o.X.o.X.o.X.o.X.o.X.x.",
    },
    "rock_ride": {
        "kick": "X.....x.x.......",
        "snare": "....X.......X...",
        "ride": "X.x.X.x.X.x.X.x.",
    },
    "half_time": {
        "kick": "X.........x.....",
        "snare": "........X.......",
        "hat": "X.o.x.o.x.o.x.o.",
    },
    "punk": {"kick": "X...X.x.X...X.x.", "snare": "..X...X...X...X.", "hat": "X.x.X.x.X.x.X.x."},
    "metal": {"kick": "xxxxxxxxxxxxxxxx", "snare": "....X.......X...", "ride": "X...X...X...X..."},
    "metal_gallop": {
        "kick": "X.xxX.xxX.xxX.xx",
        "snare": "....X.......X...",
        "hat": "X...X...X...X...",
    },
    "blast": {"kick": "X.x.x.x.x.x.x.x.", "snare": ".x.x.x.x.x.x.x.x", "crash": "X.......X......."},
    "four": {
        "kick": "X...X...X...X...",
        "clap": "....x.......x...",
        "open": "..x...x...x...x.",
        "hat": "o.go.go.o.go.go.",
    },
    "house": {
        "kick": "X...X...X...X...",
        "clap": "....X.......X...",
        "open": "..x...x...x...x.",
        "shaker": "g.ogg.ogg.ogg.og",
    },
    "house_break": {
        "kick": "X...X...X...X...X...X...X...X.x.",
        "clap": "....X.......X..o....X.......X...",
        "open": "..x...x...x...x...x...x...x...x.",
        "conga_high": "...o..o....o..o....o..o...o.o.o.",
    },
    "techno": {
        "kick": "X...X...X...X...",
        "hat": "g.o.g.o.g.o.g.o.",
        "open": "..x...x...x...x.",
        "rim": "...o..o....o.o..",
    },
    "techno_hard": {
        "kick": "X...X...X...X...",
        "hat": "oooooooooooooooo",
        "open": "..X...X...X...X.",
        "clap": "....x.......x..g",
    },
    "hiphop": {
        "kick": "X.....x.x.x.....",
        "snare": "....X..?....X...",
        "hat": "x.o.x.o.x.o.x.o.",
    },
    "boom_bap": {
        "kick": "X..x......x.....X..x...x..x.....",
        "snare": "....X..?.?..X.......X..?....X..g",
        "hat": "x.o.x.o.x.o.x.o.x.o.x.o.x.o.x.oo",
    },
    "trap": {
        "kick": "X.....x...x.....X..x......x.....",
        "clap": "........X...............X.......",
        "hat": "x.x.x.xxx.x.x.x.x.x.xxxxx.x.x.oo",
    },
    "lofi": {
        "kick": "X......x..x.....X..x......x.....",
        "rim": "....x.......x.......x.......x...",
        "hat": "o.o.o.o.o.o.o.g.o.o.o.ogo.o.o.o.",
    },
    "lofi_snare": {
        "kick": "X.....x...x.....",
        "snare": "....o..?....o...",
        "hat": "o.g.o.g.o.g.o.g.",
    },
    "funk": {
        "kick": "X..x..x...x..x..",
        "snare": "....X..g.g..X..g",
        "hat": "x.o.x.o.x.o.x.o.",
    },
    "funk_linear": {
        "kick": "X.x....x..x.....X.x....x..x...x.",
        "snare": "....X..g.g.gX..g....X..g.g..X.gg",
        "hat": "xoxoxoxoxoxoxoxoxoxoxoxoxoxoxox.",
        "open": "...............................x",
    },
    "disco": {
        "kick": "X...X...X...X...",
        "snare": "....X.......X...",
        "hat": "x.xxx.xxx.xxx.xx",
        "open": "..x...x...x...x.",
    },
    "synthwave": {
        "kick": "X.......X.......",
        "snare": "....X.......X...",
        "hat": "x.o.x.o.x.o.x.o.",
    },
    "synthwave_four": {
        "kick": "X...X...X...X...",
        "snare": "....X.......X...",
        "hat": "o.xoo.xoo.xoo.xo",
    },
    "one_drop": {
        "kick": "........X.......",
        "rim": "........X......?",
        "hat": "x.o.x.o.x.o.x.o.",
    },
    "steppers": {
        "kick": "X...X...X...X...",
        "rim": "........X..o....",
        "hat": "o.x.o.x.o.x.o.xg",
    },
    "swing": {
        "ride": "x...X.o.x...X.o.",
        "pedal": "....x.......x...",
        "snare": "......?.......?.",
        "kick": "o.......?.......",
    },
    "swing_two": {
        "ride": "x...X.o.x...X.o.x...X.o.x...X.ox",
        "pedal": "....x.......x.......x.......x...",
        "snare": "..?...g.......?...?.......g...?.",
        "kick": "o.............?.o.....?.........",
    },
    "brushes": {
        "snare": "o.g.x.g.o.g.x.g.",
        "pedal": "....o.......o...",
        "kick": "o.......g.......",
    },
    "shuffle": {
        "kick": "X.....x.X.....x.",
        "snare": "....X.......X...",
        "hat": "x..ox..ox..ox..o",
    },
    "bossa": {
        "kick": "x..xx..xx..xx..x",
        "rim": "x..x..x...x..x..",
        "hat": "oooooooooooooooo",
    },
    "samba": {
        "kick": "x..xX..xx..xX..x",
        "rim": "x.x..x.xx.x..x.x",
        "shaker": "xoxxxoxxxoxxxoxx",
    },
    "latin": {
        "conga_high": "x..oX..xx..oX.xx",
        "conga_low": "......x.......x.",
        "cowbell": "x.x.x.x.x.x.x.x.",
        "clave": "x..x..x...x.x...",
    },
    "country": {
        "kick": "X.......X.......",
        "snare": "..x.g.xg..x.g.xg",
        "hat": "..o...o...o...o.",
    },
    "ballad": {"kick": "X.........x.....", "rim": "....x.......x...", "hat": "o.g.o.g.o.g.o.g."},
    "march": {"kick": "X.......X.......", "snare": "x.xxx.xxx.xxxxxx"},
    "chip": {"kick": "X..x..x.X..x..x.", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.xx"},
    "breakbeat": {
        "kick": "X.........X.....",
        "snare": "....X..g.g..X...",
        "hat": "x.o.x.o.x.o.x.o.",
    },
    "breakbeat_two": {
        "kick": "X.x.......x.....X.x.......X.....",
        "snare": "....X..g.g..X..g....X..g.g....X.",
        "ride": "x.o.x.o.x.o.x.o.x.o.x.o.x.o.x.o.",
    },
    "waltz": {"kick": "X...........", "snare": "....o...o...", "hat": "....o...o.g."},
    "waltz_jazz": {"ride": "x...X.o.x.o.", "pedal": "....x.......", "kick": "o.........?."},
}

_FILLS = {  # the last two beats of a phrase
    "snare": "snare:xoxoxxXX",
    "toms": "tom_high:xx...... tom_mid:..xx.... tom_low:....xxX.",
    "tom_roll": "snare:xx...... tom_high:..xx.... tom_mid:....xx.. tom_low:......XX",
    "kick_snare": "snare:x..x..xX kick:.xx.xx..",
    "soft": "snare:....g.oo",
    "clap": "clap:x..x..xx",
    "ride": "snare:..o..o.x kick:o..o..x.",
}

FILLS = {  # fills that suit a groove
    "swing": ("ride", "soft"),
    "brush": ("soft",),
    "bossa": ("soft",),
    "ballad": ("soft", "toms"),
    "lofi": ("soft", "kick_snare"),
    "techno": ("clap",),
    "house": ("clap", "snare"),
    "four": ("clap", "snare"),
    "trap": ("clap",),
    "latin": ("snare",),
    "waltz": ("soft",),
}
_ANY_FILL = ("snare", "toms", "tom_roll", "kick_snare")


def fills_for(groove: str) -> tuple[str, ...]:
    """The names of the fills that suit ``groove``."""
    return next((names for prefix, names in FILLS.items() if groove.startswith(prefix)), _ANY_FILL)


def play_drums(
    rng: np.random.Generator,
    groove: str,
    *,
    first_bar: int,
    bars: int,
    meter: int,
    phrase: int = 4,
    density: str = "medium",
    fill: bool = True,
    crash: bool = True,
) -> list[Event]:
    """``bars`` bars of ``groove`` with ghosts, small changes, and fills at the ends of phrases."""
    pattern = GROOVES[groove]
    steps = meter * 4
    if any(len(line) not in (steps, 2 * steps) for line in pattern.values()):
        raise ValueError(f"the groove {groove!r} does not have bars of {meter} beats")
    quiet = groove.startswith(("swing", "brush", "bossa", "ballad", "waltz", "lofi"))
    events: list[Event] = []
    for bar in range(bars):
        start = (first_bar + bar) * meter
        ends_phrase = (bar + 1) % phrase == 0 or bar == bars - 1
        filled = fill and ends_phrase and rng.random() < (0.85 if bar == bars - 1 else 0.45)
        cut = steps - (8 if rng.random() < 0.5 else 4) if filled else steps
        for voice, line in pattern.items():
            if density == "sparse" and voice in ("shaker", "cowbell", "rim") and len(pattern) > 3:
                continue
            offset = (bar % (len(line) // steps)) * steps
            for step in range(steps):
                mark = line[offset + step]
                if step >= cut and voice not in ("kick", "pedal"):
                    continue
                if mark == "." and density == "dense" and voice in ("hat", "snare"):
                    mark = "?" if rng.random() < 0.12 else "."
                if mark == "." or (mark == "?" and rng.random() < 0.6):
                    continue
                if mark in "go" and rng.random() < 0.06:
                    continue
                played = voice
                if voice == "hat" and step == steps - 2 and rng.random() < 0.12:
                    played = "open"
                events.append(_hit(start, step, played, mark))
        if filled:
            name = str(rng.choice(fills_for(groove)))
            for part in _FILLS[name].split():
                voice, line = part.split(":")
                for index, mark in enumerate(line):
                    step = steps - 8 + index
                    if mark != "." and step >= cut:
                        events.append(_hit(start, step, voice, mark))
        elif rng.random() < 0.15 and "kick" in pattern and not quiet:
            events.append(_hit(start, int(rng.choice([6, 7, 10, steps - 2])) % steps, "kick", "o"))
        if crash and bar == 0 and not quiet:
            events.append(_hit(start, 0, "crash", "x"))
    return list({(event.beat, event.pitch): event for event in events}.values())


def _hit(start: float, step: int, voice: str, mark: str) -> Event:
    return Event(start + step / 4, 0.25, PERCUSSION[voice], _FORCE[mark])
