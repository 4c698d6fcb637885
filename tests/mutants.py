"""Real sound files, each damaged a little, read one after the other in one process.

``python -m tests.mutants COUNT`` ends well if every one of them is either a sound or our error.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from cadenza.audio import FORMATS, encode, read
from cadenza.errors import AudioError
from tests.sounds import sine

LENGTHS = (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff")  # that a reader might believe


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, a piece cut out, doubled, or the end missing; mostly near the head."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        near = min(len(made), chance.choice([64, 512, len(made)]))
        place = chance.randrange(near) if near else 0
        match chance.randrange(5):
            case 0:
                made[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                made[place : place + 4] = chance.choice(
                    [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"]
                )
            case 2:
                del made[place : place + chance.randrange(1, 200)]
            case 3:
                made[place:place] = made[place : place + chance.randrange(1, 200)]
            case _:
                del made[max(place, 8) :]
    return bytes(made)


def _main(count: int) -> None:
    outcomes = {"sound": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        for format, known in FORMATS.items():
            content = encode(sine(0.3, 32_000), format)
            place = Path(folder) / f"mutant{known.suffix}"
            for seed in range(count):
                place.write_bytes(damaged(content, random.Random(f"{format}{seed}")))
                try:
                    read(place)
                    outcomes["sound"] += 1
                except AudioError:
                    outcomes["refused"] += 1
    print(outcomes)
    assert min(outcomes.values()) > count  # else the damage is too little or too much to tell


if __name__ == "__main__":
    _main(int(sys.argv[1]))
