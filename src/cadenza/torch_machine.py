"""A checkpoint on torch: any device, the reference for the other back end."""

from __future__ import annotations

from typing import Any

import torch

from cadenza.checkpoints import Checkpoint, load_parts
from cadenza.codec import Codec
from cadenza.engine import TorchBackend
from cadenza.errors import DeviceError
from cadenza.machine import Machine
from cadenza.melody import MelodyConditioner
from cadenza.text import TextConditioner

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(name: str, device: str) -> str:
    """``auto`` to what suits the device; any other name to itself.

    Raises:
        DeviceError: unknown, or not on this device.
    """
    if name == "auto":
        return "fp16" if device == "cuda" else "fp32"
    if name not in DTYPES:
        raise DeviceError(
            f"PyTorch does not compute in {name!r} here: choose auto, {', '.join(DTYPES)}"
        )
    if name == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError("this CUDA card does not compute in bf16: choose fp16 or fp32")
    return name


def load_machine(checkpoint: Checkpoint, device: str, precision: str) -> Machine:
    """Load a checkpoint onto ``device``.

    Raises:
        ModelDamaged, ModelMismatch: see :func:`cadenza.checkpoints.load_parts`.
        DeviceError: a precision that there is not.
    """
    precision = choose_precision(precision, device)
    parts = load_parts(checkpoint, device=device, dtype=DTYPES[precision])
    model: Any = parts.model
    backend = TorchBackend(model.decoder, device=device, dtype=DTYPES[precision])
    # The back end keeps its own copy of the weights; a large model's should not lie here twice.
    del model.decoder
    conditioner: TextConditioner | MelodyConditioner
    if parts.family == "melody":
        conditioner = melodic = MelodyConditioner(parts.model, parts.tokenizer)
        condition = lambda text, tune: melodic.encode([text], [tune])[0]  # noqa: E731
    else:
        conditioner = textual = TextConditioner(parts.model, parts.tokenizer)
        condition = lambda text, tune: textual.encode([text])[0]  # noqa: E731
    return Machine(
        backend=backend,
        codec=Codec(model.audio_encoder, parts.channels),
        condition=condition,
        unconditional=conditioner.unconditional,
        family=parts.family,
        identity=parts.identity,
        kind="torch",
        device=device,
        precision=precision,
    )
