"""From a file back to the music: make it again, exactly or with changes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadenza.audio import read
from cadenza.checkpoints import read_adapters
from cadenza.errors import ModelError, RecipeError
from cadenza.model import Model, load
from cadenza.request import GenerateRequest, fingerprint
from cadenza.studio.audition import play
from cadenza.studio.intime import frames_wanted
from cadenza.studio.scoring import Rated
from cadenza.take import Take, read_recipe
from cadenza.types import AdapterIdentity, Progress, Recipe, Source


@dataclass(frozen=True, eq=False)
class Verification:
    """A take made again, beside what its recipe says."""

    recipe: Recipe
    take: Take

    @property
    def same(self) -> bool:
        """Whether the codes are the same, every one of them."""
        return self.take.codes.sha256 == self.recipe.codes_sha256


def verify(
    path: str | os.PathLike[str],
    *,
    model: Model | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Make a file again by its recipe and compare the codes.

    Args:
        path: a sound file that Cadenza made, or its ``.json``.
        model: the recipe's, where it is loaded already.
        offline: never ask the hub for it.

    Raises:
        RecipeError: no recipe, other weights than the recipe's, or a sound that it needs is gone.
        CadenzaError: the model cannot be loaded, or not on the device of the recipe.
    """
    recipe = read_recipe(path)
    model = model or load_for(recipe, Path(path).parent, offline)
    if model.identity.sha256 != recipe.model.sha256:
        raise RecipeError(
            f"{path} was made with other weights: {recipe.model.name} had the SHA-256 "
            f"{recipe.model.sha256[:12]}…, here it is {model.identity.sha256[:12]}…"
        )
    if model.identity.adapters != recipe.model.adapters:
        raise RecipeError(f"{path} was made with other adapters than the model has here")
    [take], _ = _played(model, recipe, Path(path).parent, 1, {}, progress)
    return Verification(recipe, take)


def load_for(recipe: Recipe, folder: Path, offline: bool) -> Model:
    """The recipe's model as it was then: on its device, at its precision, with its adapters, which
    are looked for where they were and in ``folder``.

    Raises:
        RecipeError: an adapter is gone, or another by now.
        CadenzaError: as for :func:`cadenza.load`.
    """
    return load(
        reference(recipe),
        device=recipe.device,
        precision=recipe.precision,
        backend=recipe.backend,
        adapters=adapters_of(recipe.model.adapters, folder),
        offline=offline,
    )


def again(
    path: str | os.PathLike[str],
    *,
    model: Model | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Take:
    """Start from a file's recipe and change some of it.

    Args:
        path: a sound file that Cadenza made, or its ``.json``.
        model: another one than the recipe's.
        offline: never ask the hub for the recipe's model.
        changes: fields of :class:`GenerateRequest`.

    Raises:
        RecipeError: no recipe, or a sound that it needs is gone.
        CadenzaError: as for :func:`cadenza.load` and :meth:`Model.generate`.
    """
    [take], _ = play_again(path, 1, model=model, offline=offline, progress=progress, **changes)
    return take


def play_again(
    path: str | os.PathLike[str],
    count: int,
    *,
    whole: bool = False,
    model: Model | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> tuple[list[Take], list[Rated]]:
    """The best of ``count`` takes in place of the one of :func:`again`, with ``whole`` all of them,
    the best first; and what is heard where there are several. Their seeds are the recipe's and
    those that follow it.

    Raises:
        OptionError: a count out of bounds.
        CadenzaError: as for :func:`again`.
    """
    recipe = read_recipe(path)
    player = model or _model_of(recipe, path, offline)
    return _played(player, recipe, Path(path).parent, count, changes, progress, whole=whole)


def _model_of(recipe: Recipe, path: str | os.PathLike[str], offline: bool) -> Model:
    adapters = adapters_of(recipe.model.adapters, Path(path).parent)
    return load(reference(recipe), adapters=adapters, offline=offline)


def reference(recipe: Recipe) -> str:
    """The name by which :func:`cadenza.load` finds the recipe's model, at its very revision."""
    name, revision = recipe.model.name, recipe.model.revision
    return name if revision is None else f"{name.partition('@')[0]}@{revision}"


def adapters_of(adapters: Iterable[AdapterIdentity], folder: Path) -> dict[str, float]:
    """A recipe's adapters as :func:`cadenza.load` takes them, where they are now: where they were,
    or in ``folder``, that of the file.

    Raises:
        RecipeError: one is gone, or another by now.
    """
    return {_find_adapter(added, folder): added.weight for added in adapters}


def _find_adapter(added: AdapterIdentity, folder: Path) -> str:
    places = [Path(os.path.expanduser(added.path)), folder / Path(added.path).name]
    there = [str(place) for place in places if os.path.isdir(place)]
    if not there:
        raise RecipeError(
            f"the recipe needs the adapter {added.path} (SHA-256 {added.sha256[:12]}…), "
            "which is gone: put it back"
        )
    for place in there:
        with suppress(ModelError):
            if read_adapters({place: added.weight})[0].identity.sha256 == added.sha256:
                return place
    raise RecipeError(
        f"{there[0]} is not the adapter that the recipe was made with (SHA-256 "
        f"{added.sha256[:12]}…): put that one back"
    )


def _played(
    player: Model,
    recipe: Recipe,
    folder: Path,
    count: int,
    changes: dict[str, Any],
    progress: Progress | None,
    *,
    whole: bool = False,
) -> tuple[list[Take], list[Rated]]:
    request = _request(player, recipe, folder, changes)
    [takes], rankings = play(player, [request], count, progress, whole=whole)
    takes = [_named(take, recipe, changes) for take in takes]
    return takes, rankings[0] if rankings else []


def _text_kept(changes: dict[str, Any]) -> bool:
    return not ({"prompt", "enhance"} & changes.keys() or changes.get("verbatim"))


def _named(take: Take, recipe: Recipe, changes: dict[str, Any]) -> Take:
    """The take with the prompt that the recipe has, where the text is still the one made of it."""
    if not _text_kept(changes):
        return take
    return dataclasses.replace(take, recipe=dataclasses.replace(take.recipe, prompt=recipe.prompt))


def _request(
    model: Model, recipe: Recipe, folder: Path, changes: dict[str, Any]
) -> GenerateRequest:
    sampling = recipe.sampling
    frames = frames_wanted(recipe.frames) if recipe.in_time else recipe.frames
    options = {
        # The text as it was read then: the rules that enhance a prompt may have changed since.
        "prompt": recipe.text if _text_kept(changes) else recipe.prompt,
        "verbatim": _text_kept(changes),
        "duration": frames / model.frame_rate,
        "seed": sampling.seed,
        "negative": recipe.negative,
        "guidance": sampling.guidance,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "in_time": recipe.in_time,
        "in_key": recipe.in_key,
    }
    for name, source in (("melody", recipe.melody), ("beginning", recipe.continued)):
        if source is not None and name not in changes:
            options[name] = _find(source, folder)
    if changes.get("beginning") is not None:  # what goes on from a sound keeps its tempo and key
        options |= {"in_time": False, "in_key": False}
    return GenerateRequest(**(options | changes))


def sounds_of(recipe: Recipe, folder: Path) -> list[str]:
    """The files that the sounds of a recipe may lie in, as :func:`again` looks for them."""
    sources = [source for source in (recipe.continued, recipe.melody) if source and source.path]
    return [str(place) for source in sources for place in _places(source, folder)]


def _places(source: Source, folder: Path) -> tuple[Path, ...]:
    """As it was written, from there or from the file; beside the file, wherever that went."""
    return Path(source.path), folder / source.path, folder / Path(source.path).name


def _find(source: Source, folder: Path) -> str:
    """Where a sound that went in is now: where it was, or beside the file.

    Raises:
        RecipeError: gone, or another sound by now.
    """
    if not source.path:
        raise RecipeError(
            "the recipe goes on from a sound that was never a file: save it, and continue that"
        )
    places = [place for place in _places(source, folder) if os.path.isfile(place)]
    if not places:
        raise RecipeError(f"the recipe needs {source.path}, which is gone: put it back")
    for place in places:
        if fingerprint(read(place)) == source.sha256:
            return str(place)
    raise RecipeError(f"{places[0]} is not the sound that the recipe was made with: put it back")
