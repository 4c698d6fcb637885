"""Where a model is: bundled, in a folder, in the hub's cache, or on the hub."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cadenza.checkpoints import hub, layout
from cadenza.checkpoints.adapter import Adapter
from cadenza.checkpoints.catalogue import BUNDLED, CATALOGUE, Entry
from cadenza.errors import ModelDamaged, ModelNotFound
from cadenza.types import AdapterIdentity, ModelIdentity

_BUNDLED_FOLDER = Path(__file__).parents[1] / "bundled" / BUNDLED
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that lies on this machine, whole."""

    name: str  # as it was asked for
    folder: Path
    revision: str | None  # the hub's commit, where there is one
    licence: str
    adapters: tuple[Adapter, ...] = ()  # that are merged into the weights when they are loaded

    @cached_property
    def identity(self) -> ModelIdentity:
        """Reads the weights once where they are not named by their digest (see ``fingerprint``)."""
        sha256 = layout.fingerprint(self.folder)
        return ModelIdentity(self.name, self.revision, sha256, self.licence, self.added)

    @property
    def added(self) -> tuple[AdapterIdentity, ...]:
        """Which adapters these are."""
        return tuple(adapter.identity for adapter in self.adapters)


@dataclass(frozen=True)
class ListedModel:
    """A row of ``cadenza models``."""

    entry: Entry
    folder: Path | None  # where it is on this machine, if it is
    size: int  # bytes there


def resolve(
    name: str | os.PathLike[str],
    *,
    offline: bool = False,
    progress: hub.Progress | None = None,
    repair: bool = False,
) -> Checkpoint:
    """Find a model, and bring it from the hub if it is not here and that is allowed.

    Args:
        name: a short name (``small``), a hub id (``facebook/musicgen-small``), either with
            ``@revision``, or a folder. A short name comes before a folder of the same name;
            ``./small`` is the folder.
        offline: never ask the hub. ``CADENZA_OFFLINE=1`` and ``HF_HUB_OFFLINE=1`` say the same.
        progress: called with bytes done and bytes in all; without it a terminal shows a bar.
        repair: read all of what the hub's cache holds, and fetch anew what is damaged.

    Raises:
        ModelNotFound: not here and not to be had; within 2 s if the hub cannot be reached.
        ModelDamaged: a folder that lacks files.
        ModelError: the transfer broke off; the next call goes on from there.
        OutputError: no room for the download.
    """
    name = os.fspath(name)
    base, _, revision = name.partition("@")
    if base == BUNDLED:
        return _bundled(name)
    if base in CATALOGUE:
        repo = str(CATALOGUE[base].repo)
        return _from_hub(name, repo, revision or None, offline, progress, repair)
    if name and (folder := layout.existing(name)):
        return _local(name, folder.resolve())
    if _HUB_ID.fullmatch(base) and not base.startswith("."):
        return _from_hub(name, base, revision or None, offline, progress, repair)
    if os.sep in name or name.startswith(("~", ".")):
        raise ModelNotFound(f"there is no folder {name}: check the path")
    close = difflib.get_close_matches(base, CATALOGUE, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(CATALOGUE)}."
    raise ModelNotFound(
        f"there is no model named {name!r}: {hint} A hub id (owner/name) or a folder will do too"
    )


def list_models() -> list[ListedModel]:
    """Every short name, and whether it is on this machine. Asks nobody."""
    rows = []
    for entry in CATALOGUE.values():
        folder = _BUNDLED_FOLDER if entry.repo is None else hub.cached(entry.repo, None)
        if folder is None or not folder.is_dir() or layout.missing_files(folder):
            rows.append(ListedModel(entry, None, 0))
        else:
            rows.append(ListedModel(entry, folder, layout.disk_usage(folder)))
    return rows


def _bundled(name: str) -> Checkpoint:
    if name != BUNDLED:
        raise ModelNotFound(f"{BUNDLED} comes with Cadenza and has no revisions: ask for {BUNDLED}")
    if not _BUNDLED_FOLDER.is_dir() or layout.missing_files(_BUNDLED_FOLDER):
        raise ModelNotFound(
            f"the bundled model is missing from {_BUNDLED_FOLDER}: install Cadenza again"
        )
    return Checkpoint(name, _BUNDLED_FOLDER, None, CATALOGUE[BUNDLED].licence)


def _local(name: str, folder: Path) -> Checkpoint:
    if not folder.is_dir():
        raise ModelNotFound(f"{folder} is a file: give the folder that it lies in")
    with layout.understood(folder):
        names, missing = os.listdir(folder), layout.missing_files(folder)
        licence = _licence(folder)
    if missing:
        raise ModelDamaged(
            f"{folder} lacks {', '.join(missing)}{_audiocraft(names)}: "
            "a checkpoint needs config.json, tokenizer.json and its weights"
        )
    return Checkpoint(name, folder, None, licence)


def _from_hub(
    name: str,
    repo: str,
    revision: str | None,
    offline: bool,
    progress: hub.Progress | None,
    repair: bool,
) -> Checkpoint:
    def choose(names: Collection[str]) -> list[str]:
        chosen = layout.needed_files(names)
        required = {layout.CONFIG, layout.TOKENIZER}
        if not (required <= set(chosen) and layout.weight_files(names)):
            raise ModelNotFound(
                f"{repo} is not a MusicGen checkpoint in transformers' layout: it lacks "
                f"config.json, tokenizer.json or weights{_audiocraft(names)}"
            )
        return chosen

    folder = hub.cached(repo, revision)
    if folder is not None and repair:
        hub.drop_damaged(folder)
    if folder is None or layout.missing_files(folder):
        try:
            if offline:
                raise hub.Unreachable("offline was asked for")
            folder = hub.fetch(repo, revision, choose, progress)
        except hub.Unreachable as why:
            here = "is only in part" if folder else "is not"
            asked = name if name == repo else f"{name} ({repo})"
            raise ModelNotFound(
                f"{asked} {here} on this machine, and {why}. Looked in {hub.cache_folder()}. "
                f"Fetch it with `cadenza models get {name}` when the hub is in reach, or give the "
                f"folder of a copy; the bundled model needs no download: {BUNDLED}"
            ) from why
        if missing := layout.missing_files(folder):
            raise ModelDamaged(
                f"{repo} itself lacks {', '.join(missing)}: ask for another revision, or tell "
                "its owner"
            )
    known = {entry.repo: entry.licence for entry in CATALOGUE.values()}
    return Checkpoint(name, folder, folder.name, known.get(repo) or _licence(folder))


def _licence(folder: Path) -> str:
    """As the model card beside the weights has it."""
    card = folder / "README.md"
    text = card.read_text("utf-8", errors="replace") if card.is_file() else ""
    header = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license:\s*(\S+)", header[1], re.MULTILINE) if header else None
    return found[1].strip("\"'") if found else "unknown"


def _audiocraft(names: Collection[str]) -> str:
    return " (this is audiocraft's own format)" if "state_dict.bin" in names else ""
