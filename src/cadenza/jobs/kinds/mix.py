"""A band's session with other settings of its mixer."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from cadenza.jobs.asking import Asked, asked
from cadenza.jobs.kinds.band import OfSession, hand_over, take_over
from cadenza.jobs.kinds.kind import Kind, Work
from cadenza.studio.finishing import remix
from cadenza.studio.roles import MAX_TRACKS
from cadenza.studio.settings import Strip

HELP = {
    "gain": "Decibels, -60 to 40.",
    "pan": "-1 is left, 1 right; the power stays the same.",
    "high_pass": "Hertz below which it falls by 12 dB an octave; 0 is off.",
    "low": "Decibels below low_hz.",
    "mid": "Decibels around mid_hz.",
    "high": "Decibels above high_hz.",
    "reverb": "Decibels sent to the room; -60 is none.",
    "duck_under": "The track whose kick makes this one step back; empty for none.",
    "duck": "By how many decibels at most.",
    "solo": "Nothing is heard but what is on solo.",
}

Channel = asked(Strip, "Strip", Asked, HELP)


class Mix(OfSession):
    strips: dict[str, Channel] = Field(  # type: ignore[valid-type]
        max_length=MAX_TRACKS, description="How tracks are mixed, by name; others stay as they are."
    )


def _run(request: Any, work: Work) -> None:
    session = take_over(request, work)
    work.say("mixing")
    remix(session, {name: Strip(**strip.options({})) for name, strip in request.strips.items()})
    hand_over(session, work)


KIND = Kind(
    Mix,
    _run,
    {"job": "0123456789abcdef0123456789abcdef", "strips": {"bass": {"gain": 3.5, "pan": -0.2}}},
)
