"""``cadenza generate``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadenza.cli import auditioning, showing
from cadenza.cli import options as o
from cadenza.cli.places import Wish, check_places, stem
from cadenza.errors import OptionError

if TYPE_CHECKING:
    from cadenza.request import GenerateRequest
    from cadenza.studio.scoring import Rated
    from cadenza.take import Take

TOGETHER = 8  # pieces in a batch: what is finished is written before the next ones begin
MAX_COUNT = 1000


@o.with_music_options
@o.with_loading_options
def generate(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT...", help="What to play; one take each.")
    ] = None,
    output: o.Output = None,
    model: o.Model = "nano",
    count: Annotated[int, typer.Option(help="Takes of each prompt: seed, seed + 1, …")] = 1,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts", help="A file of prompts: one a line, or CSV with columns for options."
        ),
    ] = None,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="No prompt: whatever the model likes.")
    ] = False,
    in_time: o.InTime = None,
    in_key: o.InKey = None,
    format: o.Format = None,
    loudness: o.Loudness = None,
    recipe: o.RecipeFile = False,
    best_of: o.AutoBestOf = None,
    keep_all: o.KeepAll = False,
    as_json: o.Json = False,
    *,
    options: dict[str, Any],
    loading: dict[str, Any],
) -> None:
    """Turn prompts into music, one file each."""
    from cadenza.studio.audition import CHOICE, check_count, count_for, play

    started = time.monotonic()
    check_count(1 if best_of is None else best_of)
    if in_time is not None:
        options["in_time"] = in_time
    if in_key is not None:
        options["in_key"] = in_key
    rows = _rows(prompts or [], prompts_file, unconditional, options)
    seed = next((request.seed for request, _ in rows if request.seed is not None), None)
    most = (CHOICE if seed is None else 1) if best_of is None else best_of
    jobs = _jobs(rows, count, most)
    wishes = [Wish(stem(request.prompt, request.seed), name) for request, name in jobs]
    places = check_places(
        wishes,
        output,
        format,
        loudness,
        takes=most if keep_all else 1,
        with_json=recipe,
        sources=(sound for request, _ in jobs for sound in (request.beginning, request.melody)),
    )
    loaded = showing.load(model, loading, as_json)
    takes_each = count_for(best_of, seed, loaded, (request.text for request, _ in jobs))
    kept = takes_each if keep_all else 1

    begun = time.monotonic()
    written: list[tuple[Path, Take]] = []
    rankings: list[list[Rated]] = []
    words = f"making {sum(request.duration for request, _ in jobs):g} s of music"
    words += f", the best of {takes_each} takes" if takes_each > 1 else ""
    with showing.progress(words, as_json) as progress:
        for first in range(0, len(jobs), TOGETHER):
            requests = [request for request, _ in jobs[first : first + TOGETHER]]

            def share(done: int, total: int, first: int = first, size: int = len(requests)) -> None:
                progress(first * total + done * size, len(jobs) * total)

            groups, heard = play(loaded, requests, takes_each, share, whole=keep_all)
            rankings += heard
            for takes, place in zip(groups, places[first:], strict=False):
                written += auditioning.save(takes[:kept], place, format, loudness, recipe)
    seconds = time.monotonic() - begun
    report(written, seconds, begun - started, as_json, rankings, table=best_of is not None)


def report(
    written: Sequence[tuple[Path, Take]],
    seconds: float,
    before: float,
    as_json: bool,
    rankings: Sequence[Sequence[Rated]],
    *,
    table: bool = True,
) -> None:
    """Say what was made, in a ``table`` why it is the best, where it is, how long it took and how
    that is to real time."""
    music = sum(take.audio.duration for _, take in written)
    if as_json:
        files = [
            {
                "path": str(place),
                "duration": take.audio.duration,
                "rate": take.audio.rate,
                "channels": take.audio.channels,
                "recipe": json.loads(take.recipe.to_json()),
            }
            for place, take in written
        ]
        speed = {"seconds": seconds, "loading": before, "times_real_time": music / seconds}
        scores = [[one.facts for one in ranking] for ranking in rankings]
        heard = {"auditions": scores} if scores else {}
        print(json.dumps({"files": files, **speed, **heard}, ensure_ascii=False))
        return
    if table:
        auditioning.show(rankings)
    for place, take in written:
        shown = os.path.relpath(place)
        shown = str(place) if shown.startswith("..") else shown
        print(f"{shown}  {take.audio.duration:.1f} s  seed {take.recipe.sampling.seed}")
        if take.recipe.text != take.recipe.prompt:
            print(f"  as: {take.recipe.text}")
    print(
        f"{music:.1f} s of music in {seconds:.1f} s, {music / seconds:.1f} times real time "
        f"(and {before:.1f} s to get ready)"
    )


def _rows(
    prompts: list[str],
    file: Path | None,
    unconditional: bool,
    options: dict[str, Any],
) -> list[tuple[GenerateRequest, str]]:
    """What was asked for, with the name of its file where one was given."""
    from cadenza.cli.batch import read_prompts
    from cadenza.request import GenerateRequest

    if bool(prompts) + (file is not None) + unconditional != 1:
        raise OptionError("give either prompts, or --prompts FILE, or --unconditional")
    rows: list[dict[str, Any]] = [{"prompt": prompt} for prompt in prompts]
    if file is not None:
        rows = read_prompts(file)
    elif unconditional:
        rows = [{"prompt": None}]
    names = [row.pop("output", "") for row in rows]
    return [
        (GenerateRequest(**(options | row)), name) for row, name in zip(rows, names, strict=True)
    ]


def _jobs(
    rows: Sequence[tuple[GenerateRequest, str]], count: int, apart: int
) -> list[tuple[GenerateRequest, str]]:
    """Every piece: ``count`` of each row, with seeds so far ``apart``."""
    from cadenza.request import new_seed

    if not 1 <= count <= MAX_COUNT:
        raise OptionError(f"count must be from 1 to {MAX_COUNT}, not {count}")
    jobs = []
    for request, name in rows:
        seed = new_seed() if request.seed is None else request.seed
        for number in range(count):
            numbered = str(Path(name).with_stem(f"{Path(name).stem}-{number + 1}")) if name else ""
            jobs.append(
                (replace(request, seed=seed + number * apart), name if count == 1 else numbered)
            )
    return jobs
