"""Notes, stems, pictures, hearing and mixing of three minutes, in seconds and memory.

::

    python -m benchmarks.listening

Each task runs in a process of its own, whose largest memory is what is reported (read from
``/proc``, so this needs Linux); loading packages and models is part of both figures. Stems are
taken by a model with the shape of the published ``htdemucs`` and random weights, which takes as
long as the published ones do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.pieces import RATE, render
from benchmarks.table import table, write_json
from cadenza.audio import read, resample, write
from cadenza.types import Audio
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT

SECONDS = 180.0
SEED = HELD_OUT + 400_000
SOUND_RATE = 44_100


def notes(sound: Path) -> None:
    """As ``cadenza midi``."""
    from cadenza.midi import Track, transcribe, write

    write(sound.with_suffix(".mid"), [Track("notes", transcribe(read(sound)))])


def drums(sound: Path) -> None:
    """As ``cadenza midi --drums``."""
    from cadenza.midi import transcribe_drums

    transcribe_drums(read(sound))


def picture(sound: Path) -> None:
    """As ``cadenza show -o``."""
    from cadenza.show import look, page

    page([look(read(sound), sound.name)])


def stems(sound: Path) -> None:
    """As ``cadenza split``."""
    import torch
    from demucs.apply import BagOfModels
    from demucs.htdemucs import HTDemucs

    from cadenza.stems import Separator

    torch.manual_seed(0)
    # 42 million parameters, as many as the published file of 84 MB in half precision holds.
    model = HTDemucs(
        ["drums", "bass", "other", "vocals"],
        dconv_mode=3,
        bottom_channels=512,
        segment=Fraction(39, 5),
    )
    Separator(BagOfModels([model.eval()]), "cpu").split(sound, sound.parent / "stems")


def hearing(sound: Path) -> None:
    """Tempo, beats, bars, key and tuning, as the studio hears them."""
    from cadenza.beats import analyse

    analyse(read(sound))


def aligning(sound: Path) -> None:
    """A take of a band, brought onto the grid."""
    from cadenza.studio.align import Grid, align

    audio = read(sound)
    align(audio, Grid(100.0, 4, 60, None, audio.rate), pitched=True)


def scoring(sound: Path) -> None:
    """The score of an audition."""
    from cadenza.studio.scoring import score

    score(read(sound), "music, 100 bpm, A minor")


def mixing(sound: Path) -> None:
    """Four stereo tracks as ``cadenza mix`` mixes them."""
    from cadenza.studio.mix import mix
    from cadenza.studio.roles import role_of
    from cadenza.studio.settings import Bus

    names = ("piano", "bass", "drums", "pad")
    audio = read(sound)
    mix(dict.fromkeys(names, audio), {name: role_of(name).strip for name in names}, Bus())


TASKS: dict[str, Callable[[Path], None]] = {
    "hearing": hearing,
    "aligning": aligning,
    "scoring": scoring,
    "mixing": mixing,
    "notes": notes,
    "drums": drums,
    "picture": picture,
    "stems": stems,
}


def piece() -> Audio:
    """Three minutes of a rendered piece, in stereo."""
    mono = resample(Audio(render(compose(SEED, SECONDS))[None], RATE), SOUND_RATE)
    return Audio(np.repeat(mono.samples, 2, axis=0), SOUND_RATE)


def measured(task: str, sound: Path) -> dict[str, float]:
    """Seconds and megabytes of a task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.listening", "--task", task, "--sound", str(sound)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def perform(task: str, sound: Path) -> None:
    """The task in this process; prints its figures."""
    began = time.perf_counter()
    TASKS[task](sound)
    seconds = time.perf_counter() - began
    # Not getrusage: on Linux that begins with the memory of the parent.
    megabytes = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"seconds": seconds, "megabytes": megabytes}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listening", description=__doc__)
    parser.add_argument("--task", choices=TASKS, help="only this one")
    parser.add_argument("--sound", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    if options.sound:
        perform(options.task, options.sound)
        return
    with tempfile.TemporaryDirectory() as folder:
        sound = write(piece(), Path(folder) / "piece.wav")
        tasks = [options.task] if options.task else list(TASKS)
        figures = {task: measured(task, sound) for task in tasks}
    rows = [
        [
            task,
            f"{figure['seconds']:.1f}",
            f"{SECONDS / figure['seconds']:.1f}",
            f"{figure['megabytes']:.0f}",
        ]
        for task, figure in figures.items()
    ]
    print(table(["three minutes", "seconds", "times real time", "MB"], rows))
    if options.json:
        write_json(options.json, figures)


if __name__ == "__main__":
    main()
