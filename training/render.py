"""``python -m training.render --out DIR --pieces N --workers W``: the corpus as sound."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from training.corpus.store import render_shards


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.render", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the shards")
    parser.add_argument("--pieces", type=int, required=True, help="how many pieces in all")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--start", type=int, default=0, help="the first seed; held-out from 1e9")
    options = parser.parse_args()
    began, done = time.monotonic(), 0
    for count in render_shards(
        options.out, pieces=options.pieces, workers=options.workers, start=options.start
    ):
        done += count
        elapsed = time.monotonic() - began
        print(f"{done} pieces rendered, {done / elapsed:.1f} pieces/s", flush=True)
    print(f"{options.out}: complete, {options.pieces} pieces from seed {options.start}", flush=True)


if __name__ == "__main__":
    main()
