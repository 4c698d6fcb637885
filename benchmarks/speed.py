"""How fast is it, beside transformers, on this machine: ``python -m benchmarks.speed``.

Every engine runs in a process of its own, in turn, round after round, so that what else the machine
does hits all of them alike; figures are medians. Random weights of the published shape stand in
for real ones (``--model FOLDER`` takes a real checkpoint).

With ``--audiocraft PYTHON`` that rival runs, too: the Python of a virtual environment of its own
(``pip install torch==2.13.0 transformers av einops encodec flashy hydra-core julius librosa
num2words omegaconf sentencepiece spacy torchmetrics``, then ``pip install --no-deps audiocraft``).
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.shapes import DECODERS, folder_of
from benchmarks.stopwatch import PROMPT, Figures
from benchmarks.table import table, write_json

RIVALS = ("transformers:fp32", "transformers:bf16")
AUDIOCRAFT = "audiocraft:fp32"
OURS = ("torch:fp32", "openvino:fp32", "openvino:bf16", "openvino:int8", "openvino:int4")
LIVE = ("openvino:int8", "openvino:int4")  # what is played live, and in batches
BITS = {"fp32": 32, "bf16": 16, "int8": 8, "int4": 4.5}  # a weight of the decoder, scales included


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--shape", default="small", choices=["nano", *DECODERS])
    parser.add_argument("--model", type=Path, help="a real checkpoint instead")
    parser.add_argument("--seconds", type=float, default=10, help="of music")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=[*RIVALS, *OURS])
    parser.add_argument("--audiocraft", metavar="PYTHON", help="one that has audiocraft")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    folder = arguments.model or folder_of(arguments.shape)
    contest = Contest(folder, arguments.audiocraft)
    engines = [AUDIOCRAFT] * bool(arguments.audiocraft) + arguments.engines
    figures = contest.measure(engines, arguments.seconds, arguments.rounds)
    bandwidth = memory_bandwidth()
    weights = _decoder_weights(folder)
    print(f"\n{folder.name}, {arguments.seconds:g} s of music, on {machine()}")
    print(
        f"memory is read at {bandwidth:.0f} GB/s; the decoder has {weights / 1e6:.0f} M weights\n"
    )
    print(report(figures, arguments.seconds, weights, bandwidth))
    if arguments.json:
        everything = {"machine": machine(), "bandwidth": bandwidth, "engines": figures}
        write_json(arguments.json, everything)


@dataclass(frozen=True)
class Contest:
    """On a checkpoint; ``audiocraft`` is the Python that has that rival."""

    folder: Path
    audiocraft: str | None = None

    def measure(self, engines: list[str], seconds: float, rounds: int) -> dict[str, Figures]:
        """Medians over the rounds, by engine."""
        runs: dict[str, list[Figures]] = {engine: [] for engine in engines}
        for engine in engines:
            if engine in OURS:
                runs[engine].append(_renamed(self.run(engine, "load"), {"load": "first_load"}))
        for number in range(rounds):
            for engine in engines:
                _say(f"round {number + 1} of {rounds}: {engine}")
                figures = self.run(engine, "take", seconds)
                if engine in LIVE:
                    figures["first_sound"] = self.run(engine, "stream", seconds)["first_sound"]
                    figures["four_total"] = self.run(engine, "four", seconds)["total"]
                    figures["from_shell"] = seconds_from_the_shell(self.folder, engine)
                runs[engine].append(figures)
        for engine in engines:
            if engine in OURS:
                _say(f"thirty seconds: {engine}")
                late = {"last_ms": "step_1500_ms", "step_100_ms": "step_100_ms"}
                runs[engine].append(_renamed(self.run(engine, "take", 30), late))
        return {engine: _medians(found) for engine, found in runs.items()}

    def run(self, engine: str, task: str, seconds: float = 0) -> Figures:
        """One task in a process of its own."""
        command = [sys.executable, "-m", "benchmarks.contestant", str(self.folder), engine, task]
        if engine == AUDIOCRAFT:
            command = [str(self.audiocraft), "-m", "benchmarks.audiocraft_contestant"]
            command.append(str(self.folder))
        made = subprocess.run([*command, str(seconds)], capture_output=True, text=True)
        if made.returncode:
            raise SystemExit(f"{engine} failed:\n{made.stderr[-2000:]}")
        figures: Figures = json.loads(made.stdout.splitlines()[-1])
        return figures


def _medians(runs: list[Figures]) -> Figures:
    names = sorted({name for run in runs for name in run})
    return {name: median(run[name] for run in runs if name in run) for name in names}


def report(figures: dict[str, Figures], seconds: float, weights: int, bandwidth: float) -> str:
    """The table: ratios are against transformers in fp32."""
    base = figures.get("transformers:fp32")
    head = ["engine", "ms a step", "first 100", "last 100", "1500 / 100", "codec s", "total s"]
    head += ["× real time", "× transformers", "4 at once", "first sound", "from the shell"]
    head += ["load", "first load", "peak GB", "of bandwidth"]
    rows = []
    for engine, found in figures.items():
        get = found.get
        read = weights * BITS[engine.split(":")[1]] / 8 / bandwidth / 1e6
        rows.append(
            [
                engine,
                _number(get("mean_ms"), 1),
                _number(get("first_ms"), 1),
                _number(get("last_ms"), 1),
                _ratio(get("step_1500_ms"), get("step_100_ms")),
                _number(get("codec"), 2),
                _number(get("total"), 2),
                _ratio(seconds, get("total")),
                _ratio(base and base["total"], get("total")),
                _ratio(get("four_total"), get("total")),
                _number(get("first_sound"), 2),
                _number(get("from_shell"), 1),
                _number(get("load"), 1),
                _number(get("first_load"), 1),
                _number(get("peak_gb"), 2),
                f"{100 * read / found['first_ms']:.0f} %",
            ]
        )
    return table(head, rows)


def seconds_from_the_shell(folder: Path, engine: str) -> float:
    """From the start of the command to the first byte of sound, the model converted before."""
    backend, precision = engine.split(":")
    command = [sys.executable, "-m", "cadenza", "stream", PROMPT, "--raw", "--model", str(folder)]
    command += ["--backend", backend, "--precision", precision, "--duration", "2"]
    start = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise SystemExit(f"{engine} sent no sound: {' '.join(command)}")
        seconds = perf_counter() - start
        process.kill()
    return seconds


def memory_bandwidth() -> float:
    """GB/s at which all cores together read what is in no cache."""
    import os

    cores = os.cpu_count() or 1
    parts = np.array_split(np.ones(100_000_000, dtype=np.float32), cores)
    best = 0.0
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(5):
            start = perf_counter()
            list(pool.map(np.max, parts))
            best = max(best, 0.4 / (perf_counter() - start))
    return best


def machine() -> str:
    """The processor and its cores."""
    import os

    names = [
        line.split(":", 1)[1].strip()
        for line in _lines(Path("/proc/cpuinfo"))
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _decoder_weights(folder: Path) -> int:
    """How many numbers the decoder's products have."""
    from cadenza.checkpoints import layout

    shapes = layout.read_shapes(folder)
    return sum(
        shape[0] * shape[1]
        for name, shape in shapes.items()
        if name.startswith("decoder.") and len(shape) == 2 and "embed" not in name
    )


def _renamed(figures: Figures, names: dict[str, str]) -> Figures:
    return {new: figures[old] for old, new in names.items()}


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _ratio(above: float | None, below: float | None) -> str:
    return "–" if above is None or below is None else f"{above / below:.2f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
