"""Demucs itself: a model from its files, and a segment of sound through it.

Either kind of file could have code run when it is opened as the authors' own package does: a
``.th`` because it is a pickle, a ``.safetensors`` because its header names a Python object to call.
So pickles are opened with ``weights_only`` and a list of what they may hold, and a header may name
a model of Demucs and nothing else.
"""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cadenza.errors import MissingPackage, ModelDamaged, ModelMismatch, ModelNotFound
from cadenza.stems.weights import NAME, read_bag, weight_files
from cadenza.types import FloatArray

INSTALL = "pip install 'cadenza[stems]'"


def check_installed() -> None:
    """Refuse to begin without Demucs.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        import demucs.apply  # noqa: F401
    except ImportError as error:
        raise MissingPackage("Demucs, which separates stems,", INSTALL) from error


def load(name: str, folder: Path) -> Any:
    """The ``demucs.apply.BagOfModels`` of the files in ``folder``.

    Raises:
        ModelNotFound: ``folder`` lacks it or a part of it.
        ModelDamaged: a file that is truncated, foreign, or unsafe to open.
        ModelMismatch: models that do not fit each other in one bag.
    """
    from demucs.apply import BagOfModels

    files = weight_files(name, folder)
    if files is None:
        raise ModelNotFound(
            f"{folder} does not hold {name} whole: it needs {name}.yaml and the files that this "
            f"names, or {name}.safetensors, or {name}.th"
        )
    bag = read_bag(folder / f"{name}.yaml")
    models = [_load_pickle(file) if file.suffix == ".th" else _load_header(file) for file in files]
    for file, model in zip(files, models, strict=True):
        if not all(isinstance(name, str) and NAME.fullmatch(name) for name in model.sources):
            raise ModelDamaged(f"{file} calls its stems {model.sources}: those are no names")
    try:
        return BagOfModels(models, bag.get("weights"), bag.get("segment")).eval()
    except (AssertionError, TypeError) as error:
        raise ModelMismatch(f"the models of {name} in {folder} do not fit each other") from error


def run(model: Any, samples: FloatArray, start: int, segment: int, device: str) -> FloatArray:
    """The sources ``[groups, sources, width, n]`` of ``segment`` samples from ``start`` on.

    Where fewer are left of ``samples [groups, width, N]``, these; a model that wants a whole
    segment then hears as much of what is before them.
    """
    import torch
    from demucs.apply import TensorChunk, apply_model

    chunk = TensorChunk(torch.from_numpy(samples), start, segment)
    sources = apply_model(model, chunk, shifts=0, split=False, device=device)
    result: FloatArray = sources.cpu().numpy()
    return result


def _load_header(file: Path) -> Any:
    """A ``.safetensors`` file, whose header names the class and its arguments."""
    from demucs.hf import load_safetensors_model
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as content:
            header = content.metadata() or {}
        known = {f"{kind.__module__}.{kind.__name__}" for kind in _classes()}
        if header.get("klass") not in known or "structure" in header:
            raise ValueError(f"it is a {header.get('klass', 'file without a class')}")
        return load_safetensors_model(file)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError, OSError) as error:
        raise ModelDamaged(f"{file} is not a model of Demucs: {error}") from error


def _load_pickle(file: Path) -> Any:
    """A ``.th`` file: a pickled dictionary of class, arguments and weights."""
    import torch
    from demucs.repo import ModelLoadingError, check_checksum
    from demucs.states import load_model

    # Published files hold the settings of their training, some of them numbers of numpy.
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    allowed = [
        *_classes(),
        Fraction,
        np.dtype,
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        *{type(np.dtype(code)) for code in ("f4", "f8", "i4", "i8", "?")},
    ]
    try:
        _, dash, checksum = file.stem.rpartition("-")
        if dash:
            check_checksum(file, checksum)
        with torch.serialization.safe_globals(allowed):
            package = torch.load(file, map_location="cpu", weights_only=True)
        if package["klass"] not in _classes():
            raise ValueError(f"it is a {package['klass']}")
        return load_model(package)
    except (
        ModelLoadingError,
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        OSError,
    ) as error:
        reason = str(error).splitlines()[-1]
        raise ModelDamaged(f"{file} is not a model of Demucs: {reason}") from error


def _classes() -> list[type]:
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    return [HTDemucs, HDemucs, Demucs]
