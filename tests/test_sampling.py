"""Sampling against transformers' logits processors, and against the distribution it must have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    ClassifierFreeGuidanceLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from cadenza.noise import Noise
from cadenza.sampling import Sampler, guide, keep_top_k, keep_top_p
from cadenza.types import Sampling

V = 32


def _logits(seed: int, n: int = 3, k: int = 4) -> torch.Tensor:
    return torch.randn(n, k, V, generator=torch.Generator().manual_seed(seed)) * 3


def _draw(logits: torch.Tensor, sampling: Sampling, blocks: int) -> np.ndarray:
    """Many draws ``[blocks, K]`` of one sequence with logits ``[K, V]``."""
    noise = Noise(sampling.seed, *logits.shape)
    sampler = Sampler([sampling], V)
    one = logits[None]
    return np.concatenate(
        [sampler(one, one, torch.from_numpy(noise.next())[None]).numpy() for _ in range(blocks)]
    )


def test_guidance_equals_transformers() -> None:
    conditional, unconditional = _logits(1)[:, 0], _logits(2)[:, 0]
    both = torch.cat([conditional, unconditional])
    theirs = ClassifierFreeGuidanceLogitsProcessor(3.0)(torch.zeros(3, 1), both)
    torch.testing.assert_close(guide(conditional, unconditional, 3.0), theirs)


@given(st.integers(0, 1000), st.lists(st.integers(1, V), min_size=3, max_size=3))
def test_top_k_equals_transformers_row_by_row(seed: int, ks: list[int]) -> None:
    logits = _logits(seed).round(decimals=1)  # equals are common
    largest = max((k for k in ks if k < V), default=1)
    ours = keep_top_k(logits, torch.tensor(ks), largest)
    for row, k in enumerate(ks):
        theirs = TopKLogitsWarper(k)(None, logits[row]) if k < V else logits[row]
        assert torch.equal(ours[row], theirs)


@given(st.integers(0, 1000), st.lists(st.sampled_from([0.01, 0.3, 0.9, 0.999, 1.0]), min_size=3))
def test_top_p_equals_transformers_row_by_row(seed: int, ps: list[float]) -> None:
    logits = _logits(seed, n=len(ps))
    ours = keep_top_p(logits, torch.tensor(ps))
    for row, p in enumerate(ps):
        theirs = TopPLogitsWarper(p)(None, logits[row]) if p < 1 else logits[row]
        assert torch.equal(ours[row], theirs)


def test_draws_have_the_distribution_of_the_softmax() -> None:
    logits = _logits(5)[0] / 3
    blocks = 20_000
    drawn = _draw(logits, Sampling(temperature=1.5, top_k=V, seed=11), blocks)
    for codebook, expected in enumerate((logits / 1.5).softmax(-1).double().numpy()):
        counted = np.bincount(drawn[:, codebook], minlength=V)
        chi2 = ((counted - blocks * expected) ** 2 / (blocks * expected)).sum()
        assert chi2 < 70  # 31 degrees of freedom: exceeded once in ten thousand seeds


def test_top_k_and_top_p_bound_what_is_drawn() -> None:
    logits = _logits(6)[0]
    ranks = logits.argsort(-1, descending=True).argsort(-1)
    drawn = torch.from_numpy(_draw(logits, Sampling(top_k=5, seed=1, temperature=3), 2000))
    assert ranks.gather(1, drawn.T).max() == 4
    drawn = torch.from_numpy(_draw(logits, Sampling(top_k=V, top_p=0.5, seed=1), 2000))
    kept = TopPLogitsWarper(0.5)(None, logits).isfinite()
    assert kept.gather(1, drawn.T).all()
    assert len(drawn[:, 0].unique()) == kept[0].sum()


def test_temperature_zero_is_greedy_whatever_else_is_set() -> None:
    logits = _logits(7, n=1)
    greedy = Sampler([Sampling(temperature=0, top_k=1, top_p=0.1)], V)
    assert torch.equal(greedy(logits, logits, None), logits.argmax(-1))
    assert torch.equal(greedy(logits, logits, torch.zeros_like(logits)), logits.argmax(-1))


def test_hardly_any_temperature_is_greedy_too() -> None:
    logits = _logits(7)[0]
    drawn = _draw(logits, Sampling(temperature=1e-300, top_k=V), 3)
    assert (drawn == logits.argmax(-1).numpy()).all()


def test_each_sequence_follows_its_own_settings() -> None:
    settings = [
        Sampling(temperature=0, guidance=1),
        Sampling(temperature=0.7, top_k=3, guidance=3, seed=4),
        Sampling(temperature=1.3, top_k=V, top_p=0.6, guidance=7, seed=5),
        Sampling(temperature=1.0, top_k=9, guidance=1, seed=6),
    ]
    conditional, unconditional = _logits(8, n=4), _logits(9, n=4)
    noise = torch.stack(
        [torch.zeros(4, V), *(torch.from_numpy(Noise(s.seed, 4, V).next()) for s in settings[1:])]
    )
    together = Sampler(settings, V)(conditional, unconditional, noise)
    for n, setting in enumerate(settings):
        one = slice(n, n + 1)
        alone = Sampler([setting], V)(conditional[one], unconditional[one], noise[one])
        assert torch.equal(together[one], alone)


def test_noise_is_gumbel_and_given_by_the_seed() -> None:
    noise = Noise(7, 4, 2048)
    first, second = noise.next(), noise.next()
    again = Noise(7, 4, 2048)
    np.testing.assert_array_equal(first, again.next())
    np.testing.assert_array_equal(second, again.next())
    assert first.dtype == np.float32 and np.isfinite(first).all()
    assert (first != second).mean() > 0.99
    assert (first != Noise(8, 4, 2048).next()).mean() > 0.99
    many = np.concatenate([noise.next().ravel() for _ in range(50)])
    assert many.mean() == pytest.approx(np.euler_gamma, abs=0.01)
    assert many.var() == pytest.approx(np.pi**2 / 6, abs=0.03)


def test_noise_never_changes() -> None:
    """Recipes rely on it: the same seed is the same music in every version and on every machine."""
    expected = [
        [3.3177037239074707, 2.5627846717834473, 1.8245820999145508],
        [-0.5342174172401428, 1.2520534992218018, 0.7355639934539795],
    ]
    np.testing.assert_allclose(Noise(2**63 - 1, 2, 3).next(), expected, rtol=1e-6)
