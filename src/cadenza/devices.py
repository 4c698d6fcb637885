"""Where the work is done."""

from __future__ import annotations

import os
import sys

from cadenza.errors import DeviceError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> str:
    """``auto`` to a device of this machine; any other name to itself.

    Raises:
        DeviceError: unknown, or not in this machine.
    """
    if name not in DEVICES:
        raise DeviceError(f"unknown device {name!r}: choose {', '.join(DEVICES)}")
    if name == "cpu" or (name == "auto" and not _may_have_cuda()):
        return "cpu"
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise DeviceError(f"this machine has no {name} that PyTorch can use: choose auto or cpu")
    return name


def _may_have_cuda() -> bool:
    """Whether there is a driver; torch, which would know for certain, takes seconds to load."""
    if sys.platform in ("linux", "darwin"):
        return os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg")
    return True
