"""``cadenza verify`` and ``cadenza again``."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cadenza.cli import auditioning, showing
from cadenza.cli import options as o
from cadenza.cli.generating import report
from cadenza.cli.places import Wish, check_places, stem
from cadenza.errors import OptionError

File = Annotated[Path, typer.Argument(help="A file that Cadenza made, or its .json.")]


def verify(
    file: Annotated[Path, typer.Argument(help="A file that Cadenza made, its .json, a session.")],
    offline: o.Offline = False,
    as_json: o.Json = False,
) -> None:
    """Make a file again by its recipe and say whether the codes are the same.

    Of a session, its mix or a part of it, all is made again: takes, tracks, stems and mix.
    """
    from cadenza.recipes import verify as verify_recipe
    from cadenza.sessions import session_around

    if (session := session_around(file)) is not None:
        _verify_session(session, offline, as_json)
        return
    with showing.progress(f"making {file.name} again", as_json) as progress:
        result = verify_recipe(file, offline=offline, progress=progress)
    words = (
        f"{file}: the same, all {result.take.codes.ids.size} codes"
        if result.same
        else f"{file}: not the same, the codes differ from those of the recipe"
    )
    codes = result.take.codes.sha256
    fields = {"recipe": dataclasses.asdict(result.recipe), "codes_sha256": codes}
    _tell(result.same, words, fields, as_json)


def _verify_session(place: Path, offline: bool, as_json: bool) -> None:
    from cadenza.sessions import verify_session

    with showing.progress(f"making {place.name} again", as_json) as progress:
        found = verify_session(place, offline=offline, progress=progress)
    words = (
        f"{place}: the same, all takes, tracks, stems and the mix"
        if found.same
        else f"{place}: not the same: {', '.join(found.different)}"
    )
    _tell(found.same, words, dataclasses.asdict(found), as_json)


def _tell(same: bool, words: str, fields: dict[str, Any], as_json: bool) -> None:
    """What came of it; the command fails where it is not the same."""
    print(json.dumps({"same": same} | fields, ensure_ascii=False) if as_json else words)
    if not same:
        raise typer.Exit(1)


@o.with_music_options
@o.with_loading_options
def again(
    file: File,
    prompt: Annotated[str | None, typer.Option(help="Another prompt.")] = None,
    output: o.Output = None,
    model: o.OtherModel = None,
    in_time: o.InTime = None,
    in_key: o.InKey = None,
    format: o.Format = None,
    loudness: o.Loudness = None,
    recipe: o.RecipeFile = False,
    best_of: o.BestOf = 1,
    keep_all: o.KeepAll = False,
    as_json: o.Json = False,
    *,
    options: dict[str, Any],
    loading: dict[str, Any],
) -> None:
    """Start from a file's recipe and change some of it."""
    from cadenza.recipes import adapters_of, play_again, reference, sounds_of
    from cadenza.studio.audition import check_count
    from cadenza.take import read_recipe

    started = time.monotonic()
    check_count(best_of)
    if prompt is not None:
        options["prompt"] = prompt
    if in_time is not None:
        options["in_time"] = in_time
    if in_key is not None:
        options["in_key"] = in_key
    old = read_recipe(file)
    wish = Wish(stem(prompt or old.prompt, options.get("seed", old.sampling.seed)))
    kept = best_of if keep_all else 1
    sources = [file, *(options.get(name) for name in ("beginning", "melody"))]
    sources += sounds_of(old, file.parent)
    [place] = check_places(
        [wish], output, format, loudness, takes=kept, with_json=recipe, sources=sources
    )
    if model is not None:
        loaded = showing.load(model, loading, as_json)
    elif showing.on_server():
        loaded = showing.load(showing.DEFAULT_MODEL, loading, as_json)  # whatever it plays
        if loaded.identity.sha256 != old.model.sha256:
            raise OptionError(
                f"the server plays {loaded.name}, and {file} was made with {old.model.name}: "
                f"say --model {loaded.name} to have it made with that"
            )
    else:
        if "adapters" not in loading:
            loading["adapters"] = adapters_of(old.model.adapters, file.parent)
        loaded = showing.load(reference(old), loading, as_json)

    begun = time.monotonic()
    with showing.progress(f"making {file.name} again", as_json) as progress:
        options |= {"model": loaded, "progress": progress}
        takes, heard = play_again(file, best_of, whole=keep_all, **options)
    written = auditioning.save(takes[:kept], place, format, loudness, recipe)
    report(written, time.monotonic() - begun, begun - started, as_json, [heard] if heard else [])
