"""Every kind of generation, one file each: ``python examples/showcase.py FOLDER``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import cadenza
from cadenza import Audio, GenerateRequest, Model, Take
from cadenza.audio import write

PROMPT = "relaxed jazz trio with piano, double bass and brushed drums, 120 bpm"
SEED = 7

Made = Iterator[tuple[str, Take | Audio]]  # a name, and what goes into the file of that name


def text(model: Model, seconds: float) -> Made:
    """A prompt in, music out."""
    yield "text", model.generate(PROMPT, duration=seconds, seed=SEED)


def seed(model: Model, seconds: float) -> Made:
    """Another seed is another piece; the same seed is the same one."""
    take, again = (model.generate(PROMPT, duration=seconds, seed=SEED + 1) for _ in range(2))
    print(f"  made twice, the same codes: {take.codes.sha256 == again.codes.sha256}")
    yield "seed", take


def count(model: Model, seconds: float) -> Made:
    """Several takes of one prompt, made together."""
    wishes = [GenerateRequest(PROMPT, duration=seconds, seed=SEED + n) for n in range(3)]
    for number, take in enumerate(model.generate_batch(wishes), 1):
        yield f"count-{number}", take


def batch(model: Model, seconds: float) -> Made:
    """Different prompts, lengths and options, made together."""
    wishes = {
        "batch-techno": GenerateRequest("driving techno, 130 bpm", duration=seconds, seed=SEED),
        "batch-waltz": GenerateRequest("slow waltz for strings", duration=seconds / 2, seed=SEED),
        "batch-bold": GenerateRequest(
            "chiptune, 150 bpm", duration=seconds, seed=SEED, temperature=1.3, top_k=50, top_p=0.95
        ),
    }
    yield from zip(wishes, model.generate_batch(list(wishes.values())), strict=True)


def negative(model: Model, seconds: float) -> Made:
    """Steer away from something, and follow the prompt more closely."""
    take = model.generate(PROMPT, duration=seconds, seed=SEED, negative="drums", guidance=4)
    yield "negative", take


def unconditional(model: Model, seconds: float) -> Made:
    """No prompt: whatever the model likes."""
    yield "unconditional", model.generate(None, duration=seconds, seed=SEED)


def enhance(model: Model, seconds: float) -> Made:
    """Bare words, made a description by visible rules."""
    yield "enhance", model.generate("sad robot", duration=seconds, seed=SEED, enhance=True)


def stream(model: Model, seconds: float) -> Made:
    """Sound while it is being made: the chunks follow each other without a seam."""
    chunks = list(model.stream("ambient pads", duration=seconds, seed=SEED))
    yield "stream", Audio(np.concatenate([c.samples for c in chunks], axis=1), model.rate)


def continuation(model: Model, seconds: float) -> Made:
    """Go on from a sound, of any format, rate and channel count; here from two notes."""
    time = np.arange(44_100) / 44_100
    notes = [np.sin(2 * np.pi * hertz * time) * np.exp(-3 * time) for hertz in (261.6, 392.0)]
    sound = Audio(np.concatenate(notes)[None].astype(np.float32) / 2, 44_100)
    yield "continuation", model.extend(sound, seconds, PROMPT, seed=SEED)


def beyond(model: Model, seconds: float) -> Made:
    """Longer than the 30 seconds that the models were trained for: the window slides."""
    long = max(31, 8 * seconds)
    yield "beyond-the-window", model.generate("ambient pads, slow", duration=long, seed=SEED)


def melody(model: Model, seconds: float) -> Made:
    """Follow a tune in the style of the prompt; melody models only."""
    if model.family != "melody":
        print(f"  {model.name} cannot follow a melody: try --model melody")
        return
    time = np.arange(32_000) / 32_000
    scale = [np.sin(2 * np.pi * 261.6 * 2 ** (step / 12) * time) for step in (0, 2, 4, 5, 7)]
    tune = Audio(np.concatenate(scale)[None].astype(np.float32) / 2, 32_000)
    yield "melody", model.generate(PROMPT, duration=seconds, seed=SEED, melody=tune)


KINDS: list[Callable[[Model, float], Made]] = [
    text,
    seed,
    count,
    batch,
    negative,
    unconditional,
    enhance,
    stream,
    continuation,
    beyond,
    melody,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--seconds", type=float, default=5, help="of a piece")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    model = cadenza.load(options.model)
    for kind in KINDS:
        print(kind.__doc__)
        for name, made in kind(model, options.seconds):
            path = options.folder / f"{name}.wav"
            if isinstance(made, Take):
                made.save(path)
                print(f"  {path}  {made.audio.duration:.1f} s  «{made.recipe.text}»")
            else:
                write(made, path)
                print(f"  {path}  {made.duration:.1f} s")


if __name__ == "__main__":
    main()
