"""``cadenza play``."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cadenza.cli import options as o
from cadenza.cli import showing, steering
from cadenza.cli.display import Display, live
from cadenza.cli.streaming import check

PICTURE_SECONDS = 0.08  # from one picture to the next


@o.with_music_options
@o.with_loading_options
def play(
    prompt: Annotated[str, typer.Argument(help="What to play.")],
    model: o.Model = "nano",
    duration: o.Endless = None,
    buffer: o.Buffer = None,
    *,
    options: dict[str, Any],
    loading: dict[str, Any],
) -> None:
    """Play music through the sound card while it is being made, until Ctrl-C."""
    from cadenza.speaker import Speaker, check_speaker

    check(prompt, duration, buffer, options)
    check_speaker()
    loaded = showing.load(model, loading, False)
    try:
        with (
            loaded.stream(prompt, duration, **options) as playing,
            Speaker(loaded.rate, loaded.channels) as speaker,
            steering.keys(),
        ):
            display = Display(playing, loaded.rate, loaded.channels)
            say = display.say if sys.stdout.isatty() else showing.note
            display.typed = steering.follow(steering.Wheel(playing), say)
            with live(display) as draw:
                step = round(PICTURE_SECONDS * loaded.rate)
                for chunk in playing:
                    for start in range(0, chunk.samples.shape[1], step):
                        samples = chunk.samples[:, start : start + step]
                        speaker.play(samples)
                        display.hear(samples, speaker.dropouts)
                        draw()
    except KeyboardInterrupt:
        pass  # the way in which music without an end is ended
