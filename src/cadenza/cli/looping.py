"""``cadenza loop``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadenza.cli import options as o
from cadenza.cli import showing
from cadenza.cli.places import Wish, check_places, stem

if TYPE_CHECKING:
    from cadenza.studio.loop import Loop


@o.with_loading_options
def loop(
    prompt: Annotated[str, typer.Argument(help="What to play, with its tempo.")],
    output: o.Output = None,
    bars: Annotated[int, typer.Option(help="The length.")] = 4,
    tempo: Annotated[
        float | None,
        typer.Option(help="Beats a minute.", show_default="the prompt's, or what is heard"),
    ] = None,
    count: Annotated[int, typer.Option(help="Variations: seed, seed + 1, …")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="The same seed, the same loop.", show_default="random")
    ] = None,
    best_of: Annotated[
        int, typer.Option(help="Make so many takes of each loop and keep the best.")
    ] = 1,
    guidance: Annotated[float, typer.Option(help="How closely to follow the prompt.")] = 3.0,
    model: o.Model = "nano",
    as_json: o.Json = False,
    *,
    loading: dict[str, Any],
) -> None:
    """Make loops: so many bars, exact to the sample, that end where they begin."""
    from cadenza.request import new_seed
    from cadenza.studio.loop import loops, plan

    seed = new_seed() if seed is None else seed
    options: dict[str, Any] = {
        "bars": bars,
        "tempo": tempo,
        "seed": seed,
        "count": count,
        "best_of": best_of,
        "guidance": guidance,
    }
    first_of_each = plan(prompt, **options).requests[::best_of]
    wishes = [Wish(stem(f"{prompt} loop", request.seed)) for request in first_of_each]
    places = check_places(wishes, output, "wav", None, with_json=True)
    loaded = showing.load(model, loading, as_json)
    with showing.progress(f"making {count} loop(s) of {bars} bars", as_json) as progress:
        made = loops(loaded, prompt, progress=progress, **options)
    written = [(found.save(place), found) for place, found in zip(places, made, strict=True)]
    _report(written, as_json)


def _report(written: list[tuple[Path, Loop]], as_json: bool) -> None:
    """Where each loop is, and how well its end meets its beginning."""
    if as_json:
        entries = [
            {
                "path": str(place),
                "samples": loop.grid.samples,
                "rate": loop.grid.rate,
                "tempo": loop.grid.tempo,
                "faults": loop.faults,
                "seam": dataclasses.asdict(loop.seam),
            }
            for place, loop in written
        ]
        print(json.dumps({"loops": entries}, ensure_ascii=False))
        return
    for place, loop in written:
        seam, grid = loop.seam, loop.grid
        print(
            f"{place.name}  {grid.length} at {grid.tempo:g} bpm, {grid.samples} samples, "
            f"seed {loop.recipe.sampling.seed}"
        )
        print(
            f"  seam: {seam.energy_jump:.1f} dB (usual {seam.usual_energy_jump:.1f}), spectrum "
            f"{seam.distance:.1f} dB (usual {seam.usual_distance:.1f}), above "
            f"{seam.percentile:.0f} % of the loop's own"
        )
        for fault in loop.faults:
            print(f"  but {fault}")
