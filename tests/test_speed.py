"""The benchmarks of speed and fidelity: what they compute, and that they run."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import entropy

import cadenza
from benchmarks.fidelity import _example, _log_probabilities, compare
from benchmarks.speed import _decoder_weights, report
from cadenza.checkpoints import resolve


def test_divergence_is_scipys_and_nothing_between_equals() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.dirichlet(np.ones(50), (7, 4)) for _ in range(2))
    found = compare(np.log(one), np.log(other))
    assert found["kl"] == pytest.approx(entropy(one, other, axis=-1).mean())
    assert found["same"] == pytest.approx(np.mean(one.argmax(-1) == other.argmax(-1)))
    same = compare(np.log(one), np.log(one))
    assert same["kl"] == pytest.approx(0) and same["same"] == 1


def test_teacher_forcing_is_the_same_on_both_back_ends_in_fp32() -> None:
    theirs = cadenza.load("nano", backend="torch", precision="fp32")
    examples = [_example(theirs, number, 1.0) for number in range(2)]
    truth = _log_probabilities(theirs, examples)
    assert np.allclose(np.exp(truth).sum(-1), 1)
    mine = cadenza.load("nano", backend="openvino", precision="fp32")
    found = compare(truth, _log_probabilities(mine, examples))
    assert found["same"] > 0.999 and found["kl"] < 1e-8


@pytest.mark.parametrize("engine", ["transformers:fp32", "openvino:int8"])
def test_a_contestant_tells_its_figures(engine: str) -> None:
    folder = resolve("nano").folder
    command = [sys.executable, "-m", "benchmarks.contestant", str(folder), engine, "take", "0.5"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(made.stdout.splitlines()[-1])
    assert 0 < figures["mean_ms"] < 1000 * figures["total"]
    assert 0.05 < figures["peak_gb"] < 8


def test_the_table_holds_ratios_against_transformers() -> None:
    slow = {"mean_ms": 70.0, "first_ms": 70.0, "last_ms": 70.0, "total": 40.0, "peak_gb": 3.0}
    fast = slow | {"mean_ms": 10.0, "first_ms": 10.0, "total": 8.0, "four_total": 12.0}
    text = report({"transformers:fp32": slow, "openvino:int8": fast}, 10, 300_000_000, 30.0)
    line = next(line for line in text.splitlines() if line.startswith("openvino"))
    assert "1.25" in line and "5.00" in line and "1.50" in line  # real time, ratio, four at once
    assert line.endswith("100 %")  # 300 MB at 30 GB/s are the 10 ms


def test_the_decoders_products_are_counted_from_the_file() -> None:
    layers, width, feed, codebooks, words = 8, 256, 1024, 4, 1024
    products = layers * (8 * width**2 + 2 * width * feed) + codebooks * words * width
    assert _decoder_weights(resolve("nano").folder) == products
