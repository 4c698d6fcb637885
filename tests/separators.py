"""Tiny models of Demucs, random but real, in folders as Demucs itself writes and reads them."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from demucs.htdemucs import HTDemucs
from demucs.states import save_with_checksum
from safetensors.torch import save_file

RATE = 8000
SOURCES = ("drums", "bass", "other", "vocals")
SETTINGS: dict[str, Any] = {
    "sources": list(SOURCES),
    "channels": 8,
    "nfft": 512,
    "depth": 3,
    "t_layers": 1,
    "t_heads": 2,
    "bottom_channels": 16,
    "samplerate": RATE,
    "segment": Fraction(1, 2),
}


def model(seed: int = 0, **changes: Any) -> HTDemucs:
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that a model this small does not need
        return HTDemucs(**SETTINGS | changes).eval()


def save_pickle(model: HTDemucs, path: Path) -> None:
    """``S-CHECKSUM.th``, as Demucs' training leaves it."""
    args, kwargs = model._init_args_kwargs
    package = {
        "klass": type(model),
        "args": args,
        "kwargs": kwargs,
        "state": model.state_dict(),
        # Published files hold such numbers in the settings of their training.
        "training_args": {"lr": np.float64(3e-4), "epochs": np.int64(360), "batch": 32},
    }
    save_with_checksum(package, path)


def save_header(model: HTDemucs, path: Path, **changes: str) -> None:
    """``S.safetensors``, as on the hub: class and arguments in the header (``demucs/hf.py``)."""
    _, kwargs = model._init_args_kwargs
    segment = kwargs["segment"]
    fraction = {
        "_type": "fraction",
        "numerator": segment.numerator,
        "denominator": segment.denominator,
    }
    header = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps(kwargs | {"segment": fraction}),
    }
    save_file(model.state_dict(), path, header | changes)


def save_bag(folder: Path, name: str, signatures: list[str], **more: Any) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"models": signatures} | more))


def published(folder: Path, name: str = "htdemucs") -> Path:
    """A folder as the hub has it: a bag of one model."""
    folder.mkdir(exist_ok=True)
    save_header(model(), folder / "955717e8.safetensors")
    save_bag(folder, name, ["955717e8"])
    return folder
