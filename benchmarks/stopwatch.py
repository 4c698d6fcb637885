"""What every contestant is measured by: nothing here needs more than numpy, for a rival runs in an
environment of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

PROMPT = "lo-fi jazz piano, rainy night, 80 bpm"

Figures = dict[str, float]


def peak() -> int:
    """The most bytes that were resident. (``ru_maxrss`` would count the parent's, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return 1024 * int(kilobytes)


def steps_of(seconds: Any) -> Figures:
    """Milliseconds of the first and last hundred steps, of one early and one late, of all."""
    ms = 1000 * np.asarray(seconds)
    figures = {"first_ms": ms[:100], "last_ms": ms[-100:]}
    if len(ms) >= 125:
        figures["step_100_ms"] = ms[75:125]
    medians = {name: float(np.median(part)) for name, part in figures.items()}
    return medians | {"mean_ms": float(ms.mean())}
