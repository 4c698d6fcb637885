"""Whether nano takes on a sound that it does not know: ``python -m benchmarks.finetune``.

Ten pieces are played on a steam organ, a tone with hissing steam between 5 and 8 kHz, which is in
no sound set that nano was trained on. An adapter is learned of nine of them. Likeness to the timbre
is the share of a take that sounds in the same bands as theirs: the power of each frame is shared
out among 40 mel bands, averaged over all that sounds, and what two such averages have in common is
counted. What the prompts of ``benchmarks.adherence`` ask for is judged with and without it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy.signal import butter, sosfilt

import cadenza
from benchmarks.adherence import figures, judged
from benchmarks.judge import judge_for
from benchmarks.prompts import read_prompts
from benchmarks.table import table, write_json
from benchmarks.takes import takes
from cadenza.audio import resample, to_channels, write
from cadenza.checkpoints import load_parts, resolve
from cadenza.codec import Codec
from cadenza.finetune import Finetuning, Settings
from cadenza.spectrum import band_power, mel_filters
from cadenza.types import Audio, FloatArray

RATE = 32_000
PIECES, SECONDS = 10, 8.0
WORDS = "steam organ"
STEAM = (5000.0, 8000.0)  # hertz
TEMPI = (84, 92, 100, 108, 116, 124, 132, 140)
FFT, HOP, BANDS = 2048, 640, 40
QUIET = 0.001  # of the loudest frame; what lies below does not sound


def steam_organ(seed: int, seconds: float = SECONDS) -> Audio:
    """A piece for it: a walk up and down a scale in eighths, with a low note each bar."""
    rng = np.random.default_rng(seed)
    eighth = 30 / float(rng.integers(80, 150))
    steps = (0, 2, 4, 5, 7, 9, 11) if rng.random() < 0.5 else (0, 2, 3, 5, 7, 8, 10)
    tonic, degree = int(rng.integers(55, 67)), int(rng.integers(7))
    samples = np.zeros(round(seconds * RATE))
    for number, start in enumerate(np.arange(0, seconds - eighth, eighth)):
        degree = int(np.clip(degree + rng.integers(-2, 3), 0, 13))
        pitches = [tonic + 12 * (degree // 7) + steps[degree % 7]]
        if number % 8 == 0:
            pitches.append(tonic - 12 + steps[(degree + 4) % 7])
        elif number % 2 and rng.random() > 0.7:
            continue
        for pitch in pitches:
            rest = samples[round(start * RATE) :]
            tone = _tone(pitch)[: len(rest)]
            rest[: len(tone)] += tone * (1.0 if number % 8 == 0 else 0.6)
    return Audio((0.4 * samples / np.abs(samples).max()).astype(np.float32)[None], RATE)


@cache
def _tone(pitch: int) -> FloatArray:
    """Two seconds of one pipe."""
    time = np.arange(2 * RATE) / RATE
    wave = 2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time
    noise = np.random.default_rng(pitch).standard_normal(len(time))
    steam = sosfilt(butter(4, STEAM, "band", fs=RATE, output="sos"), noise)
    sound = np.sin(wave) + 0.3 * np.sin(3 * wave) + 1.5 * steam / steam.std()
    return np.asarray(np.exp(-2 * time) * sound, np.float32)


def bands(audio: Audio) -> FloatArray:
    """Which share of a sound lies in each band ``[BANDS]``; neither level nor rhythm changes it."""
    mono = resample(to_channels(audio, 1), RATE).samples[0]
    power = band_power(mono, FFT, HOP, mel_filters(RATE, FFT, BANDS, 60.0, 15_000.0))
    level = power.sum(axis=1)
    sounding = power[level > QUIET * level.max()]
    shares: FloatArray = (sounding / sounding.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def likeness(sounds: Sequence[Audio], timbre: Sequence[Audio]) -> float:
    """The share of each sound that lies in the same bands as the timbre, on average."""
    wanted = np.mean([bands(sound) for sound in timbre], axis=0)
    return float(np.mean([np.minimum(bands(sound), wanted).sum() for sound in sounds]))


def played(adapters: dict[str, float]) -> list[Audio]:
    """What nano makes of the words, at several tempi."""
    model = cadenza.load("nano", adapters=adapters)
    asked = [
        cadenza.GenerateRequest(f"{WORDS}, {tempo} bpm", duration=10, seed=seed)
        for seed, tempo in enumerate(TEMPI)
    ]
    return [take.audio for take in model.generate_batch(asked)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=Settings.steps, help="at most")
    parser.add_argument("--rate", type=float, default=Settings.rate)
    parser.add_argument("--rank", type=int, default=Settings.rank)
    parser.add_argument("--keep", type=Path, help="keep the adapter in this folder")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        folder, output = Path(scratch) / "sounds", options.keep or Path(scratch) / "adapter"
        folder.mkdir()
        timbre = [steam_organ(seed) for seed in range(PIECES)]
        for seed, sound in enumerate(timbre):
            write(sound, folder / f"{seed}.wav")
        begun = time.monotonic()
        settings = Settings(steps=options.steps, rate=options.rate, rank=options.rank, every=10)
        work = Finetuning(folder, output, model="nano", words=WORDS, settings=settings)
        reports = []
        for report in work.train(work.prepare()):
            print(report, flush=True)
            reports.append(report)
        seconds = time.monotonic() - begun

        judge, prompts = judge_for("nano"), read_prompts()
        rows, found = [], {}
        for name, adapters in (("nano", {}), ("with the adapter", {str(output): 1.0})):
            alike = likeness(played(adapters), timbre)
            sounds = list(takes("nano", prompts, 10.0, 3.0, adapters=adapters))
            judged_takes = figures(judge, judged(judge, prompts, sounds))
            found[name] = {"likeness": alike, "adherence": judged_takes}
            shares = [f"{row['takes']:.0%}" for row in judged_takes.values()]
            rows.append([name, f"{alike:.0%}", *shares])
        codec = load_parts(resolve("nano"), device="cpu", dtype=torch.float32)
        through = Codec(codec.model.audio_encoder, 1)  # type: ignore[arg-type]
        heard = likeness([through.decode(through.encode(sound)) for sound in timbre], timbre)
    head = ["", "like the timbre", *(f"{figure} right" for figure in judged_takes)]
    print(table(head, rows))
    print(f"\nthe ten pieces themselves, through nano's codec: {heard:.0%}")
    kept = max(report.step for report in reports if report.best)
    print(f"learned in {seconds:.0f} s; kept is step {kept} of {reports[-1].step}")
    if options.json:
        write_json(options.json, {"seconds": seconds, "through the codec": heard, **found})


if __name__ == "__main__":
    main()
