"""Options that several commands share, said once.

The options of a piece, and of where it plays, have no defaults here: those that are not used are
left out, so the defaults of :class:`cadenza.request.GenerateRequest` and :func:`cadenza.load` are
the only ones.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cadenza.errors import OptionError

_MUSIC, _MODEL, _FILE = "The music", "The model", "The file"  # headings of the help

# Fields of GenerateRequest.
MUSIC: dict[str, Any] = {
    "duration": Annotated[
        float | None,
        typer.Option(
            help="Seconds of new music, at most 600.", show_default="10", rich_help_panel=_MUSIC
        ),
    ],
    "seed": Annotated[
        int | None,
        typer.Option(
            help="The same seed makes the same music.",
            show_default="random",
            rich_help_panel=_MUSIC,
        ),
    ],
    "negative": Annotated[
        str | None, typer.Option(help="A text to steer away from.", rich_help_panel=_MUSIC)
    ],
    "guidance": Annotated[
        float | None,
        typer.Option(
            help="How closely to follow the prompt; 1 is not at all.",
            show_default="3",
            rich_help_panel=_MUSIC,
        ),
    ],
    "temperature": Annotated[
        float | None,
        typer.Option(
            help="How bold the choices are; 0 takes the likeliest.",
            show_default="1",
            rich_help_panel=_MUSIC,
        ),
    ],
    "top_k": Annotated[
        int | None,
        typer.Option(
            help="Choose among so many of the likeliest tokens.",
            show_default="250",
            rich_help_panel=_MUSIC,
        ),
    ],
    "top_p": Annotated[
        float | None,
        typer.Option(
            help="Choose among the likeliest that hold this share.",
            show_default="1",
            rich_help_panel=_MUSIC,
        ),
    ],
    "melody": Annotated[
        Path | None,
        typer.Option(help="A sound whose tune to follow (melody models).", rich_help_panel=_MUSIC),
    ],
    "beginning": Annotated[
        Path | None,
        typer.Option("--continue", help="A sound to go on from.", rich_help_panel=_MUSIC),
    ],
    "enhance": Annotated[
        bool | None,
        typer.Option("--enhance", help="Add what the prompt leaves open.", rich_help_panel=_MUSIC),
    ],
    "verbatim": Annotated[
        bool | None,
        typer.Option(
            "--verbatim",
            help="Let nano read the prompt word for word, not the leading instrument first.",
            rich_help_panel=_MUSIC,
        ),
    ],
}

# The fields that a stream cannot have.
InTime = Annotated[
    bool | None,
    typer.Option(
        "--in-time/--as-played",
        help="Whether to stretch a take to the tempo that the prompt names.",
        show_default="in time where a critic keeps the best, or as the recipe has it",
        rich_help_panel=_MUSIC,
    ),
]

InKey = Annotated[
    bool | None,
    typer.Option(
        "--in-key/--key-as-played",
        help="Whether to transpose a take to the key that the prompt names.",
        show_default="in key where a critic keeps the best, or as the recipe has it",
        rich_help_panel=_MUSIC,
    ),
]

# Arguments of Model.stream.
Endless = Annotated[
    float | None,
    typer.Option(
        help="Seconds of music.", show_default="until it is stopped", rich_help_panel=_MUSIC
    ),
]
Buffer = Annotated[
    float | None,
    typer.Option(
        help="Seconds made ahead at most: less is steered sooner, more plays through hitches.",
        show_default="2",
        rich_help_panel=_MUSIC,
    ),
]

# Arguments of cadenza.load.
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A short name, a hub id or a folder; see cadenza models.",
        rich_help_panel=_MODEL,
    ),
]
OtherModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Another model.",
        show_default="the recipe's",
        rich_help_panel=_MODEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda or mps.", show_default="auto", rich_help_panel=_MODEL),
]
Precision = Annotated[
    str,
    typer.Option(
        help="Of the decoder: auto, fp32, bf16, fp16 (torch), int8 or int4 (openvino).",
        show_default="auto",
        rich_help_panel=_MODEL,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="auto, torch or openvino (CPUs only).", show_default="auto", rich_help_panel=_MODEL
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never ask the hub.", rich_help_panel=_MODEL)
]
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="FOLDER[=WEIGHT]",
        help="What cadenza finetune learned, and how much of it, 0 to 2; may be given again.",
        show_default="none, or those of the recipe",
        rich_help_panel=_MODEL,
    ),
]
LOADING: dict[str, Any] = {
    "adapters": Adapters,
    "device": Device,
    "precision": Precision,
    "backend": Backend,
    "offline": Offline,
}


def _place(text: str) -> Path:
    """A path, whose last slash must not be lost: it says that a folder is meant."""
    if text.endswith(("/", os.sep)) and not os.path.isdir(text):
        raise OptionError(f"there is no folder {text}: make it first, or leave the slash out")
    return Path(text)


# Arguments of Take.save.
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        parser=_place,
        metavar="PATH",
        help="A file or a folder.",
        show_default="named by prompt and seed",
        rich_help_panel=_FILE,
    ),
]
BestOf = Annotated[int, typer.Option(help="Make so many takes of each piece and keep the best.")]
AutoBestOf = Annotated[
    int | None,
    typer.Option(
        help="Make so many takes of each piece and keep the best.",
        show_default="16 of a model with a critic, as nano, where no seed is given; else 1",
    ),
]
KeepAll = Annotated[
    bool, typer.Option("--keep-all", help="Keep the others, too, as NAME-2, NAME-3, …")
]
Format = Annotated[
    str | None,
    typer.Option(
        help="wav, wav24, wavfloat, flac, mp3, ogg or opus.",
        show_default="by the suffix, or wav",
        rich_help_panel=_FILE,
    ),
]
Loudness = Annotated[
    float | None,
    typer.Option(
        help="Bring to so many LUFS, for example -14.",
        show_default="as it is",
        rich_help_panel=_FILE,
    ),
]
RecipeFile = Annotated[
    bool,
    typer.Option(
        "--recipe",
        help="Write the recipe into a .json beside the file, too.",
        rich_help_panel=_FILE,
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


def spelled(loading: dict[str, Any]) -> list[str]:
    """What :func:`with_loading_options` gave, as it is said to another command."""
    plain = ("device", "precision", "backend")
    named = [f"--{name}={loading[name]}" for name in plain if name in loading]
    named += ["--offline"] if loading.get("offline") else []
    adapters = loading.get("adapters", {}).items()
    return named + [f"--adapter={folder}={weight!r}" for folder, weight in adapters]


def weighted(adapters: list[str]) -> dict[str, float]:
    """Folders of adapters with their weights: ``FOLDER=0.7``, or ``FOLDER`` for 1.

    Raises:
        OptionError: a folder that is named twice.
    """
    wanted: dict[str, float] = {}
    for given in adapters:
        folder, sign, weight = given.rpartition("=")
        try:
            folder, share = (folder, float(weight)) if sign else (given, 1.0)
        except ValueError:  # a name with an equals sign in it
            folder, share = given, 1.0
        if folder in wanted:
            raise OptionError(f"the adapter {folder} is named twice: give it one weight")
        wanted[folder] = share
    return wanted


def with_music_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options in ``MUSIC``; those that were used reach it as ``options``.

    One that the command has itself stays the command's.
    """
    return _sharing(command, MUSIC, "options", first=True)  # what the help should begin with


def with_loading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options in ``LOADING``; those that were used reach it as ``loading``, as
    :func:`cadenza.load` takes them."""

    @functools.wraps(command)
    def loaded(loading: dict[str, Any], **given: Any) -> None:
        if adapters := loading.pop("adapters", None):
            loading["adapters"] = weighted(adapters)
        command(**given, loading=loading)

    return _sharing(loaded, LOADING, "loading", first=False)


def _sharing(
    command: Callable[..., None], bundle: dict[str, Any], keyword: str, *, first: bool
) -> Callable[..., None]:
    """``command`` with the options of a bundle, which it gets as one dictionary."""
    signature = inspect.signature(command, eval_str=True)
    shared = [name for name in bundle if name not in signature.parameters]

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        used = {name: given.pop(name) for name in shared}
        command(**given, **{keyword: {k: v for k, v in used.items() if v is not None}})

    own = [parameter for name, parameter in signature.parameters.items() if name != keyword]
    added = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=bundle[name]
        )
        for name in shared
    ]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    all_of_them = [*added, *own] if first else [*own, *added]
    described: Any = wrapper
    described.__signature__ = signature.replace(parameters=all_of_them)
    described.__annotations__ = {p.name: p.annotation for p in all_of_them}
    return wrapper


def list_by_default(app: typer.Typer, list_all: Callable[[bool], None]) -> None:
    """Let a group of commands list what it has when none of them is named; ``--json`` ahead of one
    that is named is meant for it."""

    @app.callback(invoke_without_command=True)
    def default(context: typer.Context, as_json: Json = False) -> None:
        if context.invoked_subcommand is None:
            list_all(as_json)
        elif as_json:
            context.default_map = {context.invoked_subcommand: {"as_json": True}}
