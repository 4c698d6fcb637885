"""What takes the sound card's place where there is none."""

from __future__ import annotations

import os
import subprocess
from typing import Self

import numpy as np

HEARD = "HEARD"  # the environment's name for the file that is written


class ProcessSpeaker:
    """A process that reads what it is to play, as fast as it can, and keeps it in a file."""

    dropouts = 0

    def __init__(self, rate: int, channels: int) -> None:
        with open(os.environ[HEARD], "wb") as file:
            self._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)

    def play(self, samples: np.ndarray) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(samples.T.astype("<f4").tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
