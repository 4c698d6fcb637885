"""Training: what it minimises, what it learns on next to nothing, and that a kill costs little."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import MusicgenForConditionalGeneration

from cadenza.framecodec import FrameCodecConfig, FrameCodecModel, ResidualQuantizer
from training import resume
from training.codec.codebooks import CodebookLearner
from training.codec.losses import reconstruction
from training.language_model.codes import CodeCrops
from training.language_model.loss import delayed, next_token_loss
from training.language_model.shape import nano_config
from training.language_model.tokenizer import train_tokenizer
from training.sound import Crops

RATE = 32_000


def _chord(seconds: float, *hertz: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(0.2 * np.sin(2 * np.pi * f * t) for f in hertz).astype(np.float32)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    pieces = np.stack([_chord(6, 220 * 2 ** (k / 12), 330.0) for k in range(4)])
    np.save(folder / "shard-00000.npy", (pieces * 32767).astype(np.int16))
    return folder


def test_reconstruction_loss_orders_what_a_listener_would() -> None:
    truth = torch.from_numpy(_chord(1, 220.0, 330.0))[None]
    semitone_off = torch.from_numpy(_chord(1, 233.1, 330.0))[None]
    noise = 0.2 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    losses = [float(reconstruction(x, truth, RATE)) for x in (truth, semitone_off, noise)]
    assert losses[0] == 0
    assert losses[0] < losses[1] < losses[2]


def test_codebooks_move_to_the_data_and_dead_codes_revive() -> None:
    torch.manual_seed(0)
    centres = 5 * torch.randn(8, 4)
    quantizer = ResidualQuantizer(2, 8, 4)
    learner = CodebookLearner(quantizer).train()
    quantizer.codebooks.data[:] = 100.0  # all dead: nothing lies there
    for _ in range(400):
        vectors = centres[torch.randint(8, (1, 64))] + 0.01 * torch.randn(1, 64, 4)
        learner(vectors)
    codes = quantizer.encode(centres[None])
    assert len(codes[0, 0].unique()) >= 6
    error = (quantizer.decode(codes) - centres).abs().max()
    assert error < 0.5


def test_gradients_pass_the_quantiser_unchanged() -> None:
    quantizer = ResidualQuantizer(2, 8, 4)
    torch.nn.init.normal_(quantizer.codebooks)
    latent = torch.randn(1, 3, 4, requires_grad=True)
    quantised, _ = CodebookLearner(quantizer).eval()(latent)
    quantised.sum().backward()
    assert torch.equal(latent.grad, torch.ones_like(latent))


def test_delay_is_the_one_that_generation_undoes() -> None:
    config = nano_config(FrameCodecConfig(codebook_size=16), text_vocabulary=8)
    decoder = MusicgenForConditionalGeneration(config).decoder
    codes = torch.randint(0, 16, (2, 4, 9))
    special = config.decoder.vocab_size
    start = torch.full((2 * 4, 1), special)
    columns = delayed(codes, special)
    _, mask = decoder.build_delay_pattern_mask(start, special, max_length=9 + 4)
    generated = torch.where(mask == -1, columns.flatten(0, 1), mask)
    assert torch.equal(generated, columns.flatten(0, 1))
    kept = decoder.apply_delay_pattern_mask(columns.flatten(0, 1), mask)
    assert torch.equal(kept[kept != special].reshape(2, 4, 9), codes)


def test_loss_does_not_see_the_future_and_text_can_be_dropped() -> None:
    torch.manual_seed(0)
    config = nano_config(FrameCodecConfig(codebook_size=16), text_vocabulary=8)
    model = MusicgenForConditionalGeneration(config).eval()
    codes, tokens = torch.randint(0, 16, (1, 4, 12)), torch.tensor([[3, 4, 1, 0]])
    other = torch.tensor([[5, 6, 1, 0]])
    keep, drop = torch.tensor([False]), torch.tensor([True])
    with torch.no_grad():
        assert not torch.equal(
            next_token_loss(model, codes, tokens, keep), next_token_loss(model, codes, other, keep)
        )
        torch.testing.assert_close(
            next_token_loss(model, codes, tokens, drop), next_token_loss(model, codes, other, drop)
        )


def test_learns_a_repeating_pattern(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = nano_config(FrameCodecConfig(codebook_size=16), text_vocabulary=8)
    config.decoder.num_hidden_layers = 2
    model = MusicgenForConditionalGeneration(config)
    codes = (torch.arange(24) % 4)[None, None].repeat(2, 4, 1) + torch.arange(4)[None, :, None]
    tokens = torch.tensor([[3, 1], [4, 1]])
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    first = None
    for _ in range(40):
        loss = next_token_loss(model, codes, tokens, torch.tensor([False, False])).mean()
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.25 * first


def test_crops_of_codes_are_pieces_of_the_pieces(tmp_path: Path) -> None:
    codes = np.arange(3 * 4 * 50, dtype=np.int16).reshape(3, 4, 50)
    tokens = np.arange(3 * 2 * 5, dtype=np.int16).reshape(3, 2, 5)
    np.savez(tmp_path / "codes-00000.npz", codes=codes, tokens=tokens)
    crops = CodeCrops(tmp_path, torch.device("cpu"), seed=0)
    drawn, words = crops.draw(64, 20)
    starts = set()
    for row, caption in zip(drawn.numpy(), words.numpy(), strict=True):
        piece, start = divmod(int(row[0, 0]), 200)
        assert np.array_equal(row, codes[piece][:, start : start + 20])
        assert caption.tolist() in tokens[piece].tolist()
        starts.add(start)
    assert 0 in starts and len(starts) > 5


def test_crops_wait_for_no_one_and_say_what_is_missing(tmp_path: Path, corpus: Path) -> None:
    batch = next(iter(Crops(corpus, batch=3, length=3200, seed=0)))
    assert batch.shape == (3, 3200)
    assert 0.05 < float(batch.abs().max()) <= 1
    with pytest.raises(FileNotFoundError, match=r"training\.render"):
        next(iter(Crops(tmp_path / "nothing", batch=1, length=10, seed=0)))


def test_tokenizer_is_blind_to_case_and_knows_every_tempo() -> None:
    tokenizer = train_tokenizer(["Lo-fi jazz piano", "solo cello in D minor", "fast funk"] * 50)
    assert tokenizer("LO-FI Jazz").input_ids == tokenizer("lo-fi jazz").input_ids
    assert tokenizer.pad_token_id == 0 and tokenizer("").input_ids == [1]
    for tempo in (60, 97, 180):
        assert str(tempo) in tokenizer.tokenize(f"at {tempo}bpm")


def test_clock_counts_on_after_a_restart() -> None:
    clock = resume.Clock(minutes=10, spent=300)
    assert 0.5 <= clock.share < 0.51


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_codec_training_goes_on_after_a_kill(tmp_path: Path, corpus: Path, number: int) -> None:
    out = tmp_path / "codec"

    def command(minutes: float) -> list[str]:
        options = f"--minutes {minutes} --batch 1 --frames 20 --device cpu --keep-every 1"
        return [
            *(sys.executable, "-m", "training.codec", "--corpus", str(corpus)),
            *("--held-out", str(corpus), "--out", str(out), *options.split()),
        ]

    running = subprocess.Popen(command(60), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    state = out / "training.pt"
    deadline = time.monotonic() + 120
    while not state.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert state.exists(), output.decode()
    before = resume.load(state, torch.device("cpu"))
    assert before is not None and before["step"] > 0

    budget = before["spent"] / 60 + 0.05
    again = subprocess.run(command(budget), capture_output=True, text=True, check=True)
    assert f"going on from step {before['step']}" in again.stdout
    after = resume.load(state, torch.device("cpu"))
    assert after is not None and after["step"] > before["step"]
    codec = FrameCodecModel.from_pretrained(out)
    assert torch.isfinite(codec(torch.randn(1, 1, 6400))).all()
