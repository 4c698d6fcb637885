"""What rounding changes: ``python -m benchmarks.fidelity``.

Teacher-forced over the codes of held-out renders, every back end and precision beside torch in
float32: how often the likeliest token is the same, and how far the distribution moves
(Kullback-Leibler, in nats). ``--adherence`` also lets the listener judge takes at each precision.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import cadenza
from benchmarks.pieces import RATE, pieces, render
from benchmarks.table import table, write_json
from cadenza import delay
from cadenza.engine import alone
from cadenza.types import Audio, FloatArray, IntArray, Sampling
from training.corpus.captions import caption
from training.corpus.piece import HELD_OUT

REFERENCE = ("torch", "fp32")
MEASURED = (
    ("torch", "bf16"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("openvino", "int4"),
)
BARS = {"int8": 0.97, "int4": 0.88}
FIRST_SEED = HELD_OUT + 300_000


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fidelity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="nano", help="short name, hub id or folder")
    parser.add_argument("--pieces", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each piece")
    parser.add_argument("--adherence", action="store_true", help="judge takes, too (minutes)")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()

    exact = cadenza.load(options.model, backend=REFERENCE[0], precision=REFERENCE[1])
    examples = [_example(exact, seed, options.seconds) for seed in range(options.pieces)]
    truth = _log_probabilities(exact, examples)
    rows, figures = [], {}
    for backend, precision in MEASURED:
        model = cadenza.load(options.model, backend=backend, precision=precision)
        found = compare(truth, _log_probabilities(model, examples))
        figures[f"{backend}:{precision}"] = found
        bar = BARS.get(precision)
        verdict = "" if bar is None else "reached" if found["same"] >= bar else "missed"
        rows.append(
            [
                f"{backend} {precision}",
                f"{found['same']:.4f}",
                f"{found['first book']:.4f}",
                f"{found['kl']:.6f}",
                "" if bar is None else f"≥ {bar}",
                verdict,
            ]
        )
        print(f"{backend} {precision} measured", file=sys.stderr, flush=True)
    tokens = truth.shape[0] * truth.shape[1]
    print(
        f"{options.model}, {tokens} tokens of {options.pieces} held-out renders, torch fp32 beside"
    )
    print(table(["", "likeliest is the same", "first codebook", "KL", "bar", ""], rows))
    if options.adherence:
        judged = {f"{b}:{p}": _adherence(options.model, b, p) for b, p in (REFERENCE, *MEASURED)}
        figures["adherence"] = judged
        head = list(next(iter(judged.values())))
        lines = [[k, *(f"{100 * row[name]:.0f} %" for name in head)] for k, row in judged.items()]
        print("\nadherence, as a share of real renders (benchmarks.adherence)")
        print(table(["", *head], lines))
    if options.json:
        write_json(options.json, figures)


def compare(truth: FloatArray, other: FloatArray) -> dict[str, float]:
    """Two sets of log-probabilities ``[n, K, V]``, the first taken for true."""
    same = truth.argmax(-1) == other.argmax(-1)
    divergence = (np.exp(truth) * (truth - other)).sum(-1)
    return {
        "same": float(same.mean()),
        "first book": float(same[:, 0].mean()),
        "kl": float(divergence.mean()),
    }


def _example(model: cadenza.Model, number: int, seconds: float) -> tuple[str, IntArray]:
    """A caption and the codes of a held-out piece."""
    (piece,) = islice(pieces(FIRST_SEED + 1000 * number, lambda _: True), 1)
    sound = render(piece)[None, : round(seconds * RATE)]
    text = caption(piece, np.random.default_rng(number))
    return text, model._codec.encode(Audio(sound, RATE)).ids


def _log_probabilities(model: cadenza.Model, examples: list[tuple[str, IntArray]]) -> FloatArray:
    """``[n, K, V]`` of every step, the true column fed each time, all pieces side by side."""
    backend: Any = model._machine.backend
    shape = backend.shape
    greedy = Sampling(temperature=0, guidance=1)
    nothing = np.empty((shape.codebooks, 0), dtype=np.int64)
    frames = min(ids.shape[1] for _, ids in examples)
    voices = []
    for text, _ in examples:
        mix = alone(model._machine.condition(text, None))
        voices.append(backend.prefill(mix, None, greedy, nothing, frames))
    delayed = [delay.apply(ids[:, :frames], shape.delays, shape.special) for _, ids in examples]
    fed = np.stack(delayed)[:, :, : frames - 1]
    start = np.full((len(fed), shape.codebooks, 1), shape.special)
    steps = np.concatenate([start, fed], axis=2).transpose(2, 0, 1)
    tail = max(shape.delays)
    # Before all codebooks have a frame the model is asked for nothing that is ever used.
    made = [backend.logits(voices, columns) for columns in steps][tail:]
    for voice in voices:
        backend.release(voice)
    logits = np.concatenate(made).astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    result: FloatArray = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return result


def _adherence(name: str, backend: str, precision: str) -> dict[str, float]:
    """Shares by figure; imported here, because the listener takes long to teach."""
    from benchmarks.adherence import figures, judged
    from benchmarks.judge import judge_for
    from benchmarks.prompts import read_prompts
    from benchmarks.takes import takes

    prompts = read_prompts()
    judge = judge_for(name)
    sounds = list(takes(name, prompts, 10.0, 3.0, backend=backend, precision=precision))
    rows = figures(judge, judged(judge, prompts, sounds))
    return {figure: row["share"] for figure, row in rows.items()}


if __name__ == "__main__":
    main()
