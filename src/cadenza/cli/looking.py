"""``cadenza show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cadenza.cli import showing
from cadenza.errors import OptionError, RecipeError


def show(
    files: Annotated[list[Path], typer.Argument(help="A sound; two of them with --compare.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A picture (.png, .svg, .pdf), not the terminal."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Two sounds beside each other.")
    ] = False,
) -> None:
    """Look at a sound: waveform, spectrogram, pitches, beats, loudness and recipe."""
    from cadenza.audio import read
    from cadenza.files import check_place, write_atomically
    from cadenza.show import Summary, check_suffix, look, page
    from cadenza.take import read_recipe

    if len(files) != (2 if compare else 1):
        raise OptionError(
            f"{'--compare shows two sounds' if compare else 'one sound is shown at a time'}, "
            f"not {len(files)}: {'name two' if compare else 'use --compare for two'}"
        )
    if output is not None:
        suffix = check_suffix(output)
        check_place(output)
    views = []
    for file in files:
        audio = read(file)
        try:
            recipe = read_recipe(file)
        except RecipeError:
            recipe = None  # any sound can be looked at
        views.append(look(audio, file.name, recipe))
    if output is None:
        for view in views:
            showing.output().print(Summary(view))
    else:
        print(write_atomically(output, page(views, suffix)))
