"""Where the weights of Demucs are: in a folder that a person names, in the hub's cache, or there.

``.safetensors`` is what the hub has; ``.th`` are looked for in folders that a person names, and
never fetched.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from cadenza.checkpoints import hub
from cadenza.errors import ModelDamaged, ModelNotFound, OptionError
from cadenza.types import Progress

MAX_BAG = 65_536  # bytes of the list of models
MAX_MODELS = 16
NAME = re.compile(r"\w[\w.-]*")


# The published models and where the hub has them.
MODELS = {
    "htdemucs": "adefossez/HTDemucs",
    "htdemucs_ft": "adefossez/HTDemucs-ft",
    "htdemucs_6s": "adefossez/HTDemucs-6s",
}
STEMS = ("drums", "bass", "other", "vocals")  # of all of them
MORE_STEMS = {"htdemucs_6s": ("guitar", "piano")}


def check_stem(two: str | None, stems: Sequence[str]) -> None:
    """Refuse a stem that a model with these does not have.

    Raises:
        OptionError: the message says which it has.
    """
    if two is not None and two not in stems:
        raise OptionError(f"this model has no stem {two!r}: choose one of {', '.join(stems)}")


def find(name: str, folder: Path | None, offline: bool, progress: Progress | None) -> Path:
    """The folder with the weights of ``name``: ``folder``, or the hub's cache, filled if need be.

    Raises:
        OptionError: a name that is none, or that the hub does not have.
        ModelNotFound: no such folder; or not in the cache and not to be had.
        ModelError: the transfer broke off.
    """
    if not NAME.fullmatch(name):
        raise OptionError(f"{name!r} is not the name of a model: choose {', '.join(MODELS)}")
    if folder is not None:
        if not folder.is_dir():
            raise ModelNotFound(f"there is no folder {folder}: check the path")
        return folder
    if name not in MODELS:
        raise OptionError(
            f"unknown model {name!r}: choose {', '.join(MODELS)}, or name the folder with its "
            "weights, too"
        )
    repo, bag = MODELS[name], f"{name}.yaml"

    def choose(names: Collection[str]) -> list[str]:
        return [file for file in names if file == bag or file.endswith(".safetensors")]

    here = hub.cached(repo, None, bag)
    if here is not None and weight_files(name, here) is not None:
        return here
    try:
        if offline:
            raise hub.Unreachable("offline was asked for")
        return hub.fetch(repo, None, choose, progress)
    except hub.Unreachable as why:
        raise ModelNotFound(
            f"{name} is not on this machine, and {why}. Looked in {hub.cache_folder()}. Split once "
            f"with the hub in reach, or put {bag} and the .safetensors of {repo} (or Demucs' own "
            ".th files) into a folder and name that as the folder of the weights"
        ) from why


def weight_files(name: str, folder: Path) -> list[Path] | None:
    """The weights of ``name``, or ``None`` where some are not there."""
    signatures = read_bag(folder / f"{name}.yaml").get("models", [name])
    files = [_file(signature, folder) for signature in signatures]
    return [file for file in files if file] if all(files) else None


def _file(signature: str, folder: Path) -> Path | None:
    """``S.safetensors``, ``S.th`` or, as Demucs names them, ``S-CHECKSUM.th``."""
    exact = [folder / f"{signature}{suffix}" for suffix in (".safetensors", ".th")]
    named = sorted(folder.glob(f"{signature}-*.th"))
    return next((file for file in [*exact, *named] if file.is_file()), None)


def read_bag(path: Path) -> dict[str, Any]:
    """The list of the models that work together; empty where there is no such file.

    Raises:
        ModelDamaged: it is something else.
    """
    if not path.is_file():
        return {}
    import yaml

    try:
        if path.stat().st_size > MAX_BAG:
            raise ValueError(f"it is larger than {MAX_BAG} bytes")
        bag = yaml.safe_load(path.read_text("utf-8"))
        names = bag["models"]
        if not (0 < len(names) <= MAX_MODELS and all(NAME.fullmatch(name) for name in names)):
            raise ValueError("it names no models, or too many")
    except (yaml.YAMLError, ValueError, TypeError, KeyError) as error:
        raise ModelDamaged(f"{path} is not a list of models: {error}") from error
    return dict(bag)
