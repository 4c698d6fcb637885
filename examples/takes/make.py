"""Ten takes of nano with their recipes in the tags: ``python examples/takes/make.py``.

They are made by torch in float32, whose codes hardly ever change from one processor to another:
only where two tokens are so nearly alike that rounding chooses between them. So each is made once
more with the instructions of a lesser processor, and a seed whose codes come out otherwise is
passed over for the next one. The prompts are captions as nano learned them, so it reads them word
for word.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

import cadenza
from cadenza import Model

HERE = Path(__file__).parent
# What each file is called, what it was asked for, and the first seed that is tried.
TAKES = {
    "jazz-trio": ("jazz trio with piano, walking double bass and brushed drums, 140 bpm", 1),
    "funk": ("upbeat funk with slap bass and drums, 110 bpm", 2),
    "synthwave": ("80s synthwave with a soaring synth lead and drums, 110 bpm, F minor", 3),
    "metal": ("heavy metal with distorted electric guitar and drums, 160 bpm, E minor", 4),
    "chiptune": ("8-bit chiptune, happy video game music in C major, 130 bpm", 5),
    "bossa-nova": ("bossa nova with a breezy flute and soft drums, 124 bpm", 6),
    "piano": ("solo piano, tender ballad in A minor, 70 bpm", 7),
    "guitar": ("fingerpicked acoustic guitar alone, G major, 96 bpm", 8),
    "strings": ("string quartet, elegant chamber music in D major, no drums, 112 bpm", 9),
    "drums": ("drums only, a straight rock beat, 120 bpm", 10),
}
SECONDS = 8.0
LESSER = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
VERIFY = """
import sys
import cadenza
model = cadenza.load("nano", backend="torch", precision="fp32", device="cpu", offline=True)
for path in sys.argv[1:]:
    if not cadenza.verify(path, model=model).same:
        print(path)
"""


def load() -> Model:
    """nano, as the takes are made and verified."""
    return cadenza.load("nano", backend="torch", precision="fp32", device="cpu", offline=True)


def machine() -> dict[str, str]:
    """What rounding depends on: on an equal one, all codes are the same."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def differing(paths: list[Path]) -> set[Path]:
    """Those of ``paths`` whose codes are others on a lesser processor."""
    command = [sys.executable, "-c", VERIFY, *map(str, paths)]
    done = subprocess.run(
        command, env=os.environ | LESSER, stdout=subprocess.PIPE, text=True, check=True
    )
    return {Path(line) for line in done.stdout.splitlines()}


def make(folder: Path, seconds: float) -> None:
    """Write all takes into ``folder``, and on which machine they were made."""
    model = load()
    seeds = {name: seed for name, (_, seed) in TAKES.items()}
    missing = list(TAKES)
    while missing:
        paths = {}
        for name in missing:
            prompt, seed = TAKES[name][0], seeds[name]
            take = model.generate(prompt, duration=seconds, seed=seed, verbatim=True)
            paths[take.save(folder / f"{name}.opus", loudness=-16.0)] = name
        missing = [paths[path] for path in differing(list(paths))]
        for name in missing:
            print(f"{name}: rounding chooses in seed {seeds[name]}, so the next one")
            seeds[name] += 1
    (folder / "made.json").write_text(json.dumps(machine(), indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=HERE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    make(options.folder, options.seconds)
    for path in sorted(options.folder.glob("*.opus")):
        print(f"{path} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
