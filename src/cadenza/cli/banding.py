"""``cadenza band``, ``resume``, ``remake`` and ``mix``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadenza.cli import options as o
from cadenza.cli import showing
from cadenza.errors import OptionError

if TYPE_CHECKING:
    from cadenza.model import Model
    from cadenza.studio.session import Session, Track

Place = Annotated[
    Path, typer.Argument(metavar="SESSION", help="The folder of a session, or its .zip.")
]
Force = Annotated[bool, typer.Option("--force", help="Take the place of what is there.")]
Zip = Annotated[bool, typer.Option("--zip", help="Pack it into a .zip beside the folder, too.")]


@o.with_loading_options
def band(
    prompt: Annotated[str, typer.Argument(help="What all play, with tempo and key.")],
    tracks: Annotated[str, typer.Option(help="Instruments, for example piano,bass,drums.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="A track's own: bass=slap bass, funky. Repeatable."),
    ] = None,
    how: Annotated[
        str, typer.Option(help="together, or layered: each track hears what is there.")
    ] = "together",
    bars: Annotated[int, typer.Option(help="The length.")] = 8,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed makes the same band.", show_default="random"),
    ] = None,
    retries: Annotated[
        int, typer.Option(help="More takes of a track that is not in time or key.")
    ] = 2,
    guidance: Annotated[float, typer.Option(help="How closely to follow the prompts.")] = 3.0,
    duck: Annotated[
        bool, typer.Option("--duck", help="Let the bass step back under the kick.")
    ] = False,
    force: Force = False,
    zip: Zip = False,
    model: o.Model = "nano",
    as_json: o.Json = False,
    *,
    loading: dict[str, Any],
) -> None:
    """Make one piece of several instruments, each on a track of its own, and mix it."""
    from cadenza.studio.band import band as make_band
    from cadenza.studio.band import plan
    from cadenza.studio.folder import Folder

    names = [name.strip() for name in tracks.split(",") if name.strip()]
    options: dict[str, Any] = {
        "prompts": _own_prompts(prompts or []),
        "how": how,
        "bars": bars,
        "seed": seed,
        "retries": retries,
        "guidance": guidance,
        "duck": duck,
    }
    plan(prompt, names, **options)  # told before the model is loaded if it is wrong
    Folder(output.resolve()).check_free(force)
    loaded = showing.load(model, loading, as_json)
    with showing.course(f"playing {len(names)} tracks", as_json) as (progress, say):
        session = make_band(
            loaded, prompt, names, output, force=force, progress=progress, say=say, **options
        )
    _report(output, session, zip, force, as_json)


@o.with_loading_options
def resume(
    place: Place,
    zip: Zip = False,
    as_json: o.Json = False,
    *,
    loading: dict[str, Any],
) -> None:
    """Go on with a session that was begun and not finished."""
    from cadenza.studio.band import resume as go_on
    from cadenza.studio.packing import opened

    with opened(place) as folder:
        loaded = _load(folder.load(), place, loading, as_json)
        with showing.course("playing", as_json) as (progress, say):
            session = go_on(loaded, folder.path, progress=progress, say=say)
    _report(place, session, zip, False, as_json)


@o.with_loading_options
def remake(
    place: Place,
    track: Annotated[str, typer.Option(help="The track to make again.")],
    seed: Annotated[
        int | None, typer.Option(help="Of the new take.", show_default="random")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Another prompt for it.")] = None,
    as_json: o.Json = False,
    *,
    loading: dict[str, Any],
) -> None:
    """Make one track of a session again; the others stay as they are."""
    from cadenza.studio.band import remake as make_again
    from cadenza.studio.packing import opened

    with opened(place) as folder:
        session = folder.load()
        session.track(track)
        loaded = _load(session, place, loading, as_json)
        with showing.course(f"playing {track}", as_json) as (progress, say):
            session = make_again(
                loaded, folder.path, track, seed=seed, prompt=prompt, progress=progress, say=say
            )
    _report(place, session, False, False, as_json)


def _load(session: Session, place: Path, loading: dict[str, Any], quiet: bool) -> Model:
    """The model of a session, with the adapters that it had."""
    from cadenza.recipes import adapters_of

    found = adapters_of(session.adapters, place.parent)
    return showing.load(session.model, {"adapters": found} | loading, quiet)


def mix(place: Place, zip: Zip = False, force: Force = False, as_json: o.Json = False) -> None:
    """Mix a session again as its session.json says: the same mix, or another after an edit."""
    from cadenza.studio.finishing import mix_session
    from cadenza.studio.packing import opened

    with opened(place) as folder:
        session = mix_session(folder)
    _report(place, session, zip, force, as_json)


def _own_prompts(texts: list[str]) -> dict[str, str]:
    """``["bass=slap bass"]`` by track."""
    prompts = {}
    for text in texts:
        name, equals, prompt = text.partition("=")
        if not equals:
            raise OptionError(f"--prompt {text!r} names no track: write --prompt bass={text!r}")
        prompts[name.strip()] = prompt.strip()
    return prompts


def _report(place: Path, session: Session, zip: bool, force: bool, as_json: bool) -> None:
    """What was found in each track and done to it, and where everything is."""
    from cadenza.studio.folder import Folder
    from cadenza.studio.packing import pack

    place = place.resolve()
    packed = place.is_file()
    archive = place if packed else None
    if zip and not packed:
        archive = pack(Folder(place), force)
    if as_json:
        found = json.loads(session.to_json())
        places = {"folder": None if packed else str(place), "zip": archive and str(archive)}
        print(json.dumps({**places, "session": found}, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("track")
    for heading in ("seed", "takes", "gain"):
        table.add_column(heading, justify="right")
    table.add_column("what was found and done")
    for track in session.tracks:
        gain = f"{track.strip.gain:+.1f} dB"
        table.add_row(
            track.name, str(track.seed), str(track.report.get("tries", "")), gain, _found(track)
        )
    showing.output().print(table, soft_wrap=False)
    key = f", {session.key}" if session.key else ""
    print(f"{session.grid.length}, {session.tempo:g} bpm{key}")
    for note in session.notes:
        print(note)
    if not packed:
        shown = os.path.relpath(place)
        print(f"{place if shown.startswith('..') else shown}/mix.wav")
    if archive is not None:
        print(archive)


def _found(track: Track) -> str:
    """A track's report in words."""
    report = track.report
    said = []
    if report.get("tempo"):
        said.append(f"{report['tempo']:.1f} bpm")
    if abs(report.get("stretched", 1.0) - 1) > 0.0005:
        said.append(f"stretched {100 * (report['stretched'] - 1):+.1f} %")
    if report.get("tuned"):
        said.append(f"tuned {report['tuned']:+.0f} cents")
    said += [f"but {fault}" for fault in report.get("faults", ())]
    return ", ".join(said) or "no clear pulse"
