"""Where the work is done."""

from __future__ import annotations

import torch

from cadenza.errors import DeviceError


def choose_device(name: str) -> str:
    """``auto`` to a device of this machine; any other name to itself.

    Raises:
        DeviceError: unknown, or not in this machine.
    """
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if name not in there:
        raise DeviceError(f"unknown device {name!r}: choose auto, {', '.join(there)}")
    if not there[name]:
        raise DeviceError(f"this machine has no {name} that PyTorch can use: choose auto or cpu")
    return name
