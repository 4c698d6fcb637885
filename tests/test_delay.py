"""The delay pattern against a naive loop and against transformers' own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

from cadenza import delay
from cadenza.errors import OptionError

SPECIAL = 99
delays = st.lists(st.integers(0, 6), min_size=1, max_size=8)


def _ids(codebooks: int, frames: int) -> np.ndarray:
    return np.arange(codebooks * frames, dtype=np.int64).reshape(codebooks, frames) % SPECIAL


@given(delays, st.integers(0, 20))
def test_apply_equals_a_naive_loop(delays: list[int], frames: int) -> None:
    ids = _ids(len(delays), frames)
    columns = delay.apply(ids, delays, SPECIAL)
    assert columns.shape == (len(delays), frames + max(delays))
    for codebook, late in enumerate(delays):
        for step in range(columns.shape[1]):
            frame = step - late
            expected = ids[codebook, frame] if 0 <= frame < frames else SPECIAL
            assert columns[codebook, step] == expected


@given(delays, st.integers(0, 20))
def test_undo_gives_back_what_apply_took(delays: list[int], frames: int) -> None:
    ids = _ids(len(delays), frames)
    np.testing.assert_array_equal(delay.undo(delay.apply(ids, delays, SPECIAL), delays), ids)


@given(delays, st.integers(0, 20))
def test_undelay_gives_each_frame_with_its_last_codebook(delays: list[int], frames: int) -> None:
    ids = _ids(len(delays), frames)
    undelay = delay.Undelay(delays)
    out = [undelay.push(column) for column in delay.apply(ids, delays, SPECIAL).T]
    assert all(frame is None for frame in out[: max(delays)])
    complete = out[max(delays) :]
    assert len(complete) == frames
    for frame, expected in zip(complete, ids.T, strict=True):
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize(("codebooks", "channels"), [(4, 1), (8, 2)])
@pytest.mark.parametrize("frames", [5, 12])
def test_apply_equals_transformers(codebooks: int, channels: int, frames: int) -> None:
    config = MusicgenDecoderConfig(
        vocab_size=SPECIAL,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        ffn_dim=8,
        num_codebooks=codebooks,
        audio_channels=channels,
        pad_token_id=SPECIAL,
        bos_token_id=SPECIAL,
    )
    ids = _ids(codebooks, frames)
    start = np.full((codebooks, 1), SPECIAL)
    # Room for all frames, their delays, and the start column that transformers counts.
    length = frames + 4
    _, theirs = MusicgenForCausalLM(config).build_delay_pattern_mask(
        torch.from_numpy(np.concatenate([start, ids], axis=1)), SPECIAL, length
    )
    ours = delay.apply(ids, delay.delays_of(codebooks, channels), SPECIAL)
    np.testing.assert_array_equal(theirs.numpy()[:, 1:], ours)


def test_the_published_patterns() -> None:
    assert delay.delays_of(4, 1) == (0, 1, 2, 3)
    assert delay.delays_of(8, 2) == (0, 0, 1, 1, 2, 2, 3, 3)


@pytest.mark.parametrize(("codebooks", "channels"), [(3, 2), (4, 3), (0, 1)])
def test_codebooks_that_cannot_be_shared_are_refused(codebooks: int, channels: int) -> None:
    with pytest.raises(OptionError, match=f"{codebooks} codebooks.*{channels} channels"):
        delay.delays_of(codebooks, channels)
