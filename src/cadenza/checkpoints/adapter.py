"""Adapters: what a model learned of a person's own sound, as small matrices beside its weights.

Source: Hu et al. 2021, LoRA, arXiv:2106.09685. A product's weight ``W [O, I]`` becomes
``W + weight · alpha / r · B A``, with ``A [r, I]`` and ``B [O, r]``. The files are those of peft,
and the header of the weights also says which checkpoint they belong to.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadenza.checkpoints.layout import existing
from cadenza.errors import ModelDamaged, ModelMismatch, ModelNotFound, OptionError
from cadenza.types import AdapterIdentity, ModelIdentity

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = "base_model"  # in the header of the weights: JSON with the name and the SHA-256
PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"  # of a tensor's name
MAX_WEIGHT = 2.0


@dataclass(frozen=True)
class Adapter:
    """One that lies on this machine, and how much of it is wanted."""

    identity: AdapterIdentity
    folder: Path
    scale: float  # alpha / r
    base: str  # the name of the checkpoint that it was made for
    base_sha256: str

    def require(self, checkpoint: ModelIdentity) -> None:
        """Refuse another checkpoint than the one that it was made for.

        Raises:
            ModelMismatch: the message names both.
        """
        if self.base_sha256 != checkpoint.sha256:
            raise ModelMismatch(
                f"the adapter {self.identity.path} was made for {self.base} (SHA-256 "
                f"{self.base_sha256[:12]}…), not for {checkpoint.name} "
                f"({checkpoint.sha256[:12]}…): choose that model, or another adapter"
            )


def read_adapters(wanted: Mapping[Any, float]) -> tuple[Adapter, ...]:
    """The adapters in these folders, each with its weight; their tensors are not read yet.

    Raises:
        OptionError: a weight that is not from 0 to 2.
        ModelNotFound: there is no such folder.
        ModelDamaged: files that are missing, damaged or of another kind.
    """
    return tuple(_read(os.fspath(path), weight) for path, weight in wanted.items())


def merge(model: Any, adapters: Sequence[Adapter]) -> None:
    """Add adapters to the weights of a model of transformers, in float32 and rounded once.

    Raises:
        ModelDamaged: tensors that the model has no place for, or that hold no numbers.
    """
    import torch
    from safetensors import safe_open

    parts: dict[str, list[tuple[float, Any, Any]]] = defaultdict(list)
    for adapter in adapters:
        with safe_open(adapter.folder / WEIGHTS, framework="pt") as tensors:
            names = set(tensors.keys())
            for name in sorted(name.removesuffix(A) for name in names if name.endswith(A)):
                pair = [
                    tensors.get_tensor(name + end).float() for end in (A, B) if name + end in names
                ]
                target = name.removeprefix(PREFIX)
                _check_fit(adapter, model, target, pair)
                names -= {name + A, name + B}
                parts[target].append((adapter.identity.weight * adapter.scale, *pair))
        if names:
            raise _damaged(adapter.folder, f"the tensor {min(names)} is none of an adapter's")
    with torch.no_grad():
        for target, pairs in parts.items():
            weight = model.get_parameter(f"{target}.weight")
            adapted = weight.float()
            for scale, a, b in pairs:
                adapted = adapted + scale * (b @ a).to(weight.device)
            weight.copy_(adapted)


def _check_fit(adapter: Adapter, model: Any, target: str, pair: Sequence[Any]) -> None:
    try:
        shape = tuple(model.get_parameter(f"{target}.weight").shape)
    except AttributeError as error:
        raise _damaged(adapter.folder, f"the model has no {target}") from error
    found = [tuple(tensor.shape) for tensor in pair]
    fits = [len(size) for size in found] == [2, 2] and found[0][0] == found[1][1]
    if not fits or (found[1][0], found[0][1]) != shape:
        raise _damaged(adapter.folder, f"{target} is {shape}, its parts are {found}")
    if not all(bool(tensor.isfinite().all()) for tensor in pair):
        raise _damaged(adapter.folder, f"some of {target} are not numbers")


def _read(path: str, weight: float) -> Adapter:
    if not (math.isfinite(weight) and 0 <= weight <= MAX_WEIGHT):
        raise OptionError(
            f"the weight of an adapter is from 0 to {MAX_WEIGHT:g}, not {weight:g}: {path}"
        )
    folder = existing(path)
    if folder is None or not folder.is_dir():
        raise ModelNotFound(f"there is no adapter {path}: give a folder of cadenza finetune")
    if missing := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise ModelDamaged(f"{path} is no adapter, it lacks {' and '.join(missing)}")
    from safetensors import SafetensorError, safe_open

    try:
        config = (folder / CONFIG).read_bytes()
        scale = _scale(json.loads(config))
        with (folder / WEIGHTS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with safe_open(folder / WEIGHTS, framework="numpy") as tensors:
            header = tensors.metadata() or {}
        base = json.loads(header[BASE])
        name, base_sha256 = str(base["name"]), str(base["sha256"])
    except KeyError as error:
        raise _damaged(
            folder, f"it does not say {error}, so the model it fits is not known"
        ) from error
    except (OSError, ValueError, TypeError, ArithmeticError, SafetensorError) as error:
        raise _damaged(folder, str(error)) from error
    both = hashlib.sha256(config + bytes.fromhex(digest)).hexdigest()
    return Adapter(AdapterIdentity(path, both, weight), folder, scale, name, base_sha256)


def _scale(config: Any) -> float:
    """alpha / r of peft's LoRA in its plain form, the only one that is written here."""
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} does not hold a JSON object")
    plain = not any(config.get(name) for name in ("use_dora", "use_rslora", "fan_in_fan_out"))
    even = not (config.get("rank_pattern") or config.get("alpha_pattern"))
    if config["peft_type"] != "LORA" or not (plain and even):
        raise ValueError(f"{CONFIG} describes another kind of adapter")
    scale = float(config["lora_alpha"] / config["r"])
    if not math.isfinite(scale):
        raise ValueError(f"{CONFIG} has the scale {scale}")
    return scale


def _damaged(folder: Path, why: str) -> ModelDamaged:
    return ModelDamaged(f"the adapter {folder} cannot be used: {why}. Make it again")
