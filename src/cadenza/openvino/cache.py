"""Where converted models are kept: ``CADENZA_CACHE``, or ``cadenza`` in the user's cache folder.

A conversion is a folder with a manifest and safetensors files, named by the model, the precision
and a digest of everything that it was made from. It is written under another name and then renamed,
so it is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cadenza.checkpoints import Checkpoint
from cadenza.errors import OutputError
from cadenza.openvino.runtime import installed_version

FORMAT = 1  # of a conversion; another number makes all of them anew
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Conversion:
    """One that lies in the cache."""

    folder: Path
    model: str
    precision: str
    size: int  # bytes
    current: bool  # made by these versions; another is of no use


def cache_folder() -> Path:
    """The folder; it may not exist yet."""
    if chosen := os.environ.get("CADENZA_CACHE"):
        return Path(chosen) / "openvino"
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "cadenza" / "openvino"


def made_by() -> dict[str, Any]:
    """The versions that a conversion depends on."""
    return {"format": FORMAT, "cadenza": version("cadenza"), "openvino": installed_version()}


def place(checkpoint: Checkpoint, precision: str) -> Path:
    """The folder that a conversion of ``checkpoint`` has, or would have."""
    files = sorted(path for path in checkpoint.folder.iterdir() if path.is_file())
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    adapters = [(adapter.sha256, adapter.weight) for adapter in checkpoint.added]
    folder = str(checkpoint.folder.resolve())
    origin = [folder, checkpoint.revision, stats, adapters, precision, made_by()]
    digest = hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]
    name = re.sub(r"[^\w.-]+", "-", checkpoint.name).strip("-.")[-60:] or "model"
    return cache_folder() / f"{name}-{precision}-{digest}"


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a conversion that is whole, or nothing."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        sizes = manifest["files"]
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if whole else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock of one that died is free.

    Raises:
        OSError: nothing can be written there.
    """
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        yield


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``folder`` at the end, if nothing goes wrong."""
    for left in folder.parent.glob(f".{folder.name}-*.part"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    part = folder.parent / f".{folder.name}-{secrets.token_hex(4)}.part"
    try:
        part.mkdir()
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def conversions() -> list[Conversion]:
    """All that lie in the cache, damaged ones too."""
    found = []
    for folder in sorted(cache_folder().glob("[!.]*")):
        if folder.is_dir():
            manifest = read(folder) or {}
            found.append(
                Conversion(
                    folder,
                    str(manifest.get("identity", {}).get("name", folder.name)),
                    str(manifest.get("precision", "damaged")),
                    sum(file.stat().st_size for file in folder.iterdir()),
                    manifest.get("made_by") == made_by(),
                )
            )
    return found


def clear() -> int:
    """Remove every conversion, and what killed processes left; returns the bytes that are free.

    Raises:
        OutputError: something cannot be removed.
    """
    folder = cache_folder()
    if not folder.is_dir():
        return 0
    freed = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    try:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise OutputError(f"cannot clear {folder}: {error.strerror or error}") from error
    return freed
