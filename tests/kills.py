"""Trainings that are killed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def kill_once(command: Sequence[str], state: Path, number: int) -> None:
    """Start a training and send it the signal as soon as it has stored its state."""
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not state.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert state.exists(), output.decode()
