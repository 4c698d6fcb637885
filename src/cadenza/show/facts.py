"""What is said of a sound in words."""

from __future__ import annotations

import re
import textwrap

from cadenza.show.view import View
from cadenza.types import Recipe

LINE = 100  # characters of a prompt in one line


def facts(view: View) -> list[str]:
    """Length, format, level, tempo and key, each a few words."""
    heard = view.heard
    channels = {1: "mono", 2: "stereo"}.get(view.channels, f"{view.channels} channels")
    words = [
        f"{view.duration:.2f} s",
        f"{view.rate} Hz",
        channels,
        f"{view.loudness:.1f} LUFS",
        f"peak {view.peak:.3f}",
    ]
    if heard.tempo is not None:
        words.append(f"{heard.tempo:.1f} bpm")
    if heard.key is not None:
        words.append(str(heard.key))
    return words


# A file may come from a stranger, and its recipe must not steer the terminal that shows it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def recipe_rows(recipe: Recipe | None) -> list[tuple[str, str]]:
    """The lines of a recipe, name and value; a long prompt has several."""
    if recipe is None:
        return []
    sampling = recipe.sampling
    rows = []
    for name, text in (("prompt", recipe.prompt or "(none)"), ("negative", recipe.negative)):
        lines = textwrap.wrap(text or "", LINE, max_lines=3, placeholder=" …")
        rows += [(name if not i else "", line) for i, line in enumerate(lines)]
    rows += [
        ("model", f"{recipe.model.name} ({recipe.model.licence})"),
        *(("adapter", f"{added.path}, {added.weight:g}") for added in recipe.model.adapters),
        (
            "sampling",
            f"seed {sampling.seed}, guidance {sampling.guidance:g}, temperature "
            f"{sampling.temperature:g}, top-k {sampling.top_k}, top-p {sampling.top_p:g}",
        ),
        (
            "made by",
            f"Cadenza {recipe.package}, {recipe.backend} on {recipe.device} in {recipe.precision}",
        ),
    ]
    for name, source in (("melody", recipe.melody), ("continued", recipe.continued)):
        if source is not None:
            rows.append((name, source.path or "a sound that was no file"))
    if recipe.in_time:
        rows.append(("in time", "stretched to the tempo in the prompt, if it was near"))
    if recipe.in_key:
        rows.append(("in key", "transposed to the key in the prompt, if it was near"))
    return [(name, _CONTROL.sub("\ufffd", value)) for name, value in rows]
