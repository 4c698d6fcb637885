"""How often ``cadenza evaluate`` is right about drums: ``python -m benchmarks.drums``.

On held-out rendered pieces, half of them with drums, ten seconds each.
"""

from __future__ import annotations

import argparse
from itertools import islice

from benchmarks.pieces import EXCERPT_SECONDS, RATE, pieces, render
from benchmarks.table import table
from cadenza.evaluation.drums import has_drums
from cadenza.types import Audio
from training.corpus.piece import HELD_OUT

SEED = HELD_OUT + 900_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drums", description=__doc__)
    parser.add_argument("--pieces", type=int, default=100, help="with drums, and without")
    count = parser.parse_args().pieces
    rows = []
    for name, drums in (("with drums", True), ("without", False)):
        chosen = islice(pieces(SEED, lambda piece, drums=drums: piece.has_drums is drums), count)
        samples = (render(piece)[None, : round(EXCERPT_SECONDS * RATE)] for piece in chosen)
        right = sum(has_drums(Audio(sound, RATE)) is drums for sound in samples)
        rows.append([name, str(count), f"{right / count:.0%}"])
    print(table(["", "pieces", "heard rightly"], rows))


if __name__ == "__main__":
    main()
