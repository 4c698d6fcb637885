"""Which files make up a checkpoint, and what can be read from them without loading it."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cadenza.errors import CadenzaError, ModelDamaged, ModelNotFound

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
CRITIC = "critic.safetensors"  # of the few checkpoints that have one, see cadenza.studio.critic
PROCESSORS = ("processor_config.json", "preprocessor_config.json")  # of transformers 5 and 4
_BESIDE_THE_WEIGHTS = (
    CONFIG,
    "generation_config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    *PROCESSORS,
    CRITIC,
    "README.md",  # names the licence
)

MAX_SHOWN = 100  # characters of a name in a message

Shape = tuple[int, ...]


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Any error that reading ``path`` ends in, of whichever package, is damage.

    Raises:
        ModelDamaged: what went wrong; other errors of Cadenza pass as they are.
    """
    try:
        yield
    except (CadenzaError, MemoryError):
        raise
    except Exception as error:  # the file decides which class of which package complains
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelDamaged(
            f"{path} cannot be understood: {why}. Fetch the checkpoint again"
        ) from error


def existing(name: str) -> Path | None:
    """The file or folder that a person means by ``name``; ``None`` if there is none.

    Raises:
        ModelNotFound: a name that cannot be one, or a place that may not be looked into.
    """
    try:
        path = Path(name).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such home, no text
        shown = name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"
        why = getattr(error, "strerror", None) or error
        raise ModelNotFound(f"{shown!r} cannot be opened ({why}): check the path") from error
    return path


def weight_files(names: Collection[str]) -> list[str]:
    """Of all ``names`` in a folder the weights to use, index first: safetensors before pickles."""
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        whole = f"{stem}.{suffix}"
        if whole in names:
            return [whole]
        if f"{whole}.index.json" in names:
            shard = re.compile(rf"{stem}-\d+-of-\d+\.{suffix}")
            return [f"{whole}.index.json", *sorted(filter(shard.fullmatch, names))]
    return []


def needed_files(names: Collection[str]) -> list[str]:
    """Of all ``names`` in a repository those that a model is loaded from, small ones first."""
    return [name for name in _BESIDE_THE_WEIGHTS if name in names] + weight_files(names)


def tensor_files(folder: Path) -> list[Path]:
    """The files that hold the tensors, without an index.

    Raises:
        ModelDamaged: an index that cannot be read, or that leads out of the folder.
    """
    found = weight_files(_names(folder))
    if found and found[0].endswith(".index.json"):
        weight_map = read_json(folder / found[0]).get("weight_map")
        if not isinstance(weight_map, dict):
            raise ModelDamaged(f"{folder / found[0]} has no weight_map: fetch the checkpoint again")
        found = _plain_names(folder / found[0], weight_map)
    return [folder / name for name in found]


def _plain_names(index: Path, weight_map: dict[str, object]) -> list[str]:
    """The files beside an index that it names, sorted."""
    names = set()
    for name in weight_map.values():
        if not isinstance(name, str) or name != Path(name).name:
            raise ModelDamaged(
                f"{index} names {name!r}, which is no file beside it: fetch the checkpoint again"
            )
        names.add(name)
    return sorted(names)


def missing_files(folder: Path) -> list[str]:
    """The names of the files without which ``folder`` is no checkpoint; empty if it is whole."""
    missing = [name for name in (CONFIG, TOKENIZER) if not (folder / name).is_file()]
    tensors = tensor_files(folder)
    return missing + (
        [file.name for file in tensors if not file.is_file()] if tensors else ["model.safetensors"]
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelDamaged: it is not one.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelDamaged(f"{path} cannot be read: {error}. Fetch the checkpoint again") from error
    if not isinstance(content, dict):
        raise ModelDamaged(f"{path} does not hold a JSON object: fetch the checkpoint again")
    return content


def read_processor(folder: Path) -> dict[str, Any]:
    """What the checkpoint says of the sound it hears; empty if it says nothing.

    Raises:
        ModelDamaged: the file cannot be read.
    """
    for name in PROCESSORS:
        if (folder / name).is_file():
            content = read_json(folder / name)
            return dict(content.get("feature_extractor", content))
    return {}


def read_shapes(folder: Path) -> dict[str, Shape]:
    """Name and shape of every tensor, from the headers of the files.

    Raises:
        ModelDamaged: a file that is truncated, foreign, or would run code when opened.
    """
    shapes: dict[str, Shape] = {}
    for file in tensor_files(folder):
        shapes |= _pickled(file) if file.suffix == ".bin" else _safe(file)
    # Weight normalisation as torch named it before 2.0; transformers renames it when loading.
    return {
        name.replace(".weight_g", ".parametrizations.weight.original0").replace(
            ".weight_v", ".parametrizations.weight.original1"
        ): shape
        for name, shape in shapes.items()
    }


def fingerprint(folder: Path) -> str:
    """SHA-256 of the weights: of the file, or of the sorted digests of several, one a line.

    A file in the hub's cache is a link to one that is named by its digest, so that nothing has to
    be read; any other is read once.

    Raises:
        ModelDamaged: a file that cannot be read.
    """
    digests = sorted(_digest(file) for file in tensor_files(folder))
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def disk_usage(folder: Path) -> int:
    """Bytes of the files that a model is loaded from."""
    return sum((folder / name).stat().st_size for name in needed_files(_names(folder)))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _digest(file: Path) -> str:
    stored = file.resolve()
    if stored.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", stored.name):
        return stored.name
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(file, error) from error


def _safe(file: Path) -> dict[str, Shape]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(file, error) from error


def _pickled(file: Path) -> dict[str, Shape]:
    import pickle

    import torch

    try:
        # Only tensors and plain containers are unpickled; anything else in there is refused.
        tensors = torch.load(
            file, map_location="meta", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
        return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    except pickle.UnpicklingError as error:
        if not _is_pickle(file):
            raise _damaged(file, error) from error
        raise ModelDamaged(
            f"{file} holds more than weights and could run code when opened, so it stays closed: "
            "use a checkpoint with safetensors"
        ) from error
    except (RuntimeError, EOFError, OSError, AttributeError, ValueError) as error:
        raise _damaged(file, error) from error


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as content:
        return zipfile.is_zipfile(file) or content.read(1) == b"\x80"


def _damaged(file: Path, error: Exception) -> ModelDamaged:
    try:
        with file.open("rb") as content:
            pointer = content.read(64).startswith(b"version https://git-lfs")
        size = file.stat().st_size
    except OSError as unreadable:
        return _unreadable(file, unreadable)
    if pointer:
        return ModelDamaged(f"{file} is a git-lfs pointer, not the weights: run `git lfs pull`")
    return ModelDamaged(
        f"{file} ({size:,} bytes) is truncated or holds no weights: fetch it again ({error})"
    )


def _unreadable(file: Path, error: OSError) -> ModelDamaged:
    return ModelDamaged(
        f"{file} cannot be read ({error.strerror or error}): check the disk, and who may read it"
    )
