"""Training: what it minimises, what it learns on next to nothing, and that a kill costs little."""

from __future__ import annotations

import argparse
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import MusicgenForConditionalGeneration, PreTrainedTokenizerFast

from cadenza.errors import OptionError
from cadenza.framecodec import FrameCodecConfig, FrameCodecModel, ResidualQuantizer
from tests.forks import Fork, kill_once, program
from training import encode, resume
from training.captions import write_shard
from training.codec.codebooks import CodebookLearner
from training.codec.losses import reconstruction
from training.corpus.captions import caption, caption_samples
from training.corpus.compose import compose
from training.corpus.piece import Piece
from training.export import assemble, mean_of
from training.language_model.codes import Captions, CodeCrops
from training.language_model.facts import BeatHead, FactHeads, Facts, arrays_of
from training.language_model.learner import WEIGHTS, Learner
from training.language_model.loss import delayed, hear
from training.language_model.shape import nano_config
from training.language_model.tokenizer import letters_of, train_tokenizer
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


def _losses(
    model: MusicgenForConditionalGeneration,
    codes: torch.Tensor,
    tokens: torch.Tensor,
    *,
    drop: bool = False,
    deaf: bool = False,
) -> torch.Tensor:
    rows, columns = len(codes), sum(codes.shape[1:])
    return hear(
        model, codes, tokens, torch.full((rows,), drop), torch.full((rows, columns), deaf)
    ).losses


def test_text_and_music_are_heard_unless_they_are_kept_away() -> None:
    torch.manual_seed(0)
    config = nano_config(FrameCodecConfig(codebook_size=16), text_vocabulary=8)
    model = MusicgenForConditionalGeneration(config).eval()
    codes, tokens = torch.randint(0, 16, (1, 4, 12)), torch.tensor([[3, 4, 1, 0]])
    other = torch.tensor([[5, 6, 1, 0]])
    changed = codes.clone()
    changed[:, :, 0] = (changed[:, :, 0] + 1) % 16
    with torch.no_grad():
        assert not torch.equal(_losses(model, codes, tokens), _losses(model, codes, other))
        torch.testing.assert_close(
            _losses(model, codes, tokens, drop=True), _losses(model, codes, other, drop=True)
        )
        for deaf in (False, True):
            drop, mask = torch.tensor([False]), torch.full((1, 16), deaf)
            one, two = (hear(model, c, tokens, drop, mask).music for c in (codes, changed))
            assert torch.equal(one[:, :1], two[:, :1])  # nothing sounds before the first frame
            assert torch.equal(one, two) == deaf


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
        loss = _losses(model, codes, tokens).mean()
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.25 * first


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return [compose(seed) for seed in range(24)]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory, pieces: list[Piece]) -> Path:
    """Pieces with captions and facts, and codes that tell piece and frame."""
    folder = tmp_path_factory.mktemp("codes")
    rng = np.random.default_rng(0)
    captions = [[caption(piece, rng) for _ in range(4)] for piece in pieces]
    tokenizer = train_tokenizer([text for texts in captions for text in texts])
    tokenizer.save_pretrained(folder)
    tokens = [tokenizer(texts, padding="max_length", truncation=True) for texts in captions]
    np.savez(
        folder / "codes-00000.npz",
        codes=np.arange(len(pieces) * 4 * 300, dtype=np.int16).reshape(-1, 4, 300),
        tokens=np.asarray([token.input_ids for token in tokens], dtype=np.int16),
        **arrays_of(pieces),
    )
    return folder


def test_crops_of_codes_are_pieces_of_the_pieces_and_begin_with_a_bar(
    encoded: Path, pieces: list[Piece]
) -> None:
    stored = np.load(encoded / "codes-00000.npz")
    crops = CodeCrops(encoded, torch.device("cpu"), seed=0)
    codes, captions, facts = crops.draw(256, 20)
    at_bar = []
    for row, words, tempo, start in zip(codes, captions, facts.tempo, facts.start, strict=True):
        number, first = divmod(int(row[0, 0]), 4 * 300)
        assert first == start and np.array_equal(
            row, stored["codes"][number][:, start : start + 20]
        )
        known = stored["tokens"][number][:, : len(words)].tolist()
        assert words.tolist() in known and tempo == pieces[number].tempo
        bars = float(start) / 50 / pieces[number].bar
        at_bar.append(abs(bars - round(bars)) < 0.51 / 50 / pieces[number].bar)
    assert 0 in facts.start and len(facts.start.unique()) > 40
    assert 0.7 < np.mean(at_bar) < 0.95


def test_some_words_are_misspelt_where_letters_are_given(encoded: Path) -> None:
    letters = letters_of(PreTrainedTokenizerFast.from_pretrained(encoded))
    plain, misspelt = (
        CodeCrops(encoded, torch.device("cpu"), 0, some).draw_text(512)[0] for some in ((), letters)
    )
    changed = plain != misspelt
    assert 0.03 < float(changed[plain > 2].float().mean()) < 0.07
    assert not changed[plain <= 2].any() and set(misspelt[changed].tolist()) <= set(letters)


def test_sound_is_consumed_only_if_the_codes_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of two corpora have the same names."""
    monkeypatch.setattr(encode, "TOKENIZER_CAPTIONS", 300)
    codes = np.zeros((2, 4, 1600), np.int16)
    monkeypatch.setattr(encode, "codes_of", lambda codec, sound: codes)
    FrameCodecModel(FrameCodecConfig()).save_pretrained(tmp_path / "codec")
    for name, first in (("one", 0), ("two", 700_000_000)):
        (tmp_path / name).mkdir()
        lines = [compose(first + number).to_json(notes=False) for number in range(2)]
        (tmp_path / name / "shard-00000.jsonl").write_text("\n".join(lines) + "\n")
        np.save(tmp_path / name / "shard-00000.npy", np.zeros((2, 64), np.int16))

    def consume(corpus: str) -> bool:
        """Whether the sound is gone."""
        options = {"device": "cpu", "follow": 0, "consume": True}
        places = {"corpus": corpus, "codec": "codec", "out": "codes"}
        paths = {name: tmp_path / place for name, place in places.items()}
        encode.encode(argparse.Namespace(**options, **paths))
        return not (tmp_path / corpus / "shard-00000.npy").exists()

    sound = (tmp_path / "one" / "shard-00000.npy").read_bytes()
    assert consume("one")
    (tmp_path / "one" / "shard-00000.npy").write_bytes(sound)  # as if killed before it was deleted
    assert consume("one")
    with pytest.raises(OptionError, match=r"holds other pieces than .*: choose another --out"):
        consume("two")
    assert (tmp_path / "two" / "shard-00000.npy").exists()


def test_captions_without_music_say_what_is_true_and_often_the_key(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(caption_samples(1000, seed=0))
    pieces = [compose(300_000_000 + number) for number in range(40)]
    write_shard(tmp_path / "captions-00000.npz", pieces, tokenizer)
    [place] = tmp_path.iterdir()
    stored = np.load(place)
    np.testing.assert_array_equal(stored["tempo"], [np.float32(piece.tempo) for piece in pieces])
    said = []
    for piece, rows in zip(pieces, stored["tokens"], strict=True):
        texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
        keys = [_key_in(text) for text in texts]
        assert {key for key in keys if key} <= {(piece.tonic, piece.mode)}
        said += [key is not None for key in keys]
    assert 0.3 < np.mean(said) < 0.6
    captions = Captions(tmp_path, torch.device("cpu"), seed=0)
    tokens, facts = captions.draw_text(64)
    assert len(captions) == 40
    for words, tempo in zip(tokens, facts.tempo, strict=True):
        known = stored["tokens"][stored["tempo"] == float(tempo), :, : len(words)]
        assert words.tolist() in known.reshape(-1, len(words)).tolist()


def _key_in(text: str) -> tuple[int, str] | None:
    """The key that lower-case words in a row say: «f # minor», «bb major»."""
    found = re.search(r"\b([a-g])( ?#|b)? (minor|major)\b", text)
    if found is None or re.search(r"\ba (minor|major) (?:key|mode|chords|scale)", text):
        return None
    bend = {"#": 1, "b": -1}[found[2].strip()] if found[2] else 0
    return ("c d ef g a b".index(found[1]) + bend) % 12, found[3]


def _facts(pieces: list[Piece], start: int = 0) -> Facts:
    known = {name: torch.from_numpy(array) for name, array in arrays_of(pieces).items()}
    starts = torch.full((len(pieces),), start)
    return Facts(known["tempo"], known["labels"], known["instruments"], starts)


def test_facts_can_be_told_from_states_that_hold_them(pieces: list[Piece]) -> None:
    """Each piece has a state of its own; padding says something else and is not listened to."""
    torch.manual_seed(0)
    heads, facts = FactHeads(64), _facts(pieces)
    states = torch.randn(len(pieces), 3, 64)
    mask = torch.tensor([[True, True, False]]).expand(len(pieces), -1)
    optimiser = torch.optim.Adam(heads.parameters(), 0.1)
    before = heads.told(states, facts, mask)
    for _ in range(100):
        optimiser.zero_grad()
        heads(states, facts, mask).sum().backward()
        optimiser.step()
    assert before[0] < 0.5 and (heads.told(states, facts, mask) > 0.95).all()
    states[:, 2] = 100.0
    assert (heads.told(states, facts, mask) > 0.95).all()


def test_the_beat_is_where_the_notes_are_written() -> None:
    """A head that is given the beat of the score, counted by hand, makes no error."""
    piece, start, frames = compose(3), 40, 30
    seconds = [(start + frame) / 50 for frame in range(frames)]
    turns = np.outer(seconds, [pulse / piece.beat for pulse in (0.25, 0.5, 1, 2, 4)])
    hands = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], -1)
    head = BeatHead(10)
    torch.nn.init.eye_(head.outlet.weight)
    torch.nn.init.zeros_(head.outlet.bias)
    states = torch.from_numpy(hands.reshape(1, frames, 10)).float()
    assert head(states, _facts([piece], start)).max() < 1e-4
    assert head(states, _facts([piece], start + 7)).min() > 1e-2


@pytest.fixture
def learner(encoded: Path) -> Learner:
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(encoded)
    return Learner(FrameCodecConfig(codebook_size=64), tokenizer, torch.device("cpu"), rate=1e-3)


def test_tempi_begin_alike_where_they_are_near(learner: Learner, encoded: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(encoded)
    table = learner.model.text_encoder.get_input_embeddings().weight
    rows = table.detach()[tokenizer.convert_tokens_to_ids(["100", "101", "104", "150"])]
    near, nearer_far, far = (float(torch.cosine_similarity(rows[0], row, 0)) for row in rows[1:])
    assert near > nearer_far > far + 0.2 and near > 0.9


def test_the_reader_learns_what_captions_say(learner: Learner, encoded: Path) -> None:
    crops = CodeCrops(encoded, learner.device, seed=0)
    captions = crops.draw_text(64)
    before = learner.told(*captions)
    music = learner.weights["decoder.lm_heads.0.weight"].clone()
    for _ in range(80):
        learner.read(*crops.draw_text(12))
    after = learner.told(*captions)
    assert before[0] < 0.3 and after[0] > 0.8 and after[1] > 0.8  # genre, leading instrument
    assert torch.equal(music, learner.weights["decoder.lm_heads.0.weight"])


def test_language_model_training_goes_on_where_it_stopped(
    learner: Learner, encoded: Path, tmp_path: Path
) -> None:
    crops = CodeCrops(encoded, learner.device, seed=0)
    codes, tokens, facts = crops.draw(2, 24)
    batch = (codes % 64, tokens, facts), (tokens, facts)
    learner.read(tokens, facts)
    learner.advance(*batch, 0.1)
    resume.save(learner.state(), tmp_path / "training.pt")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(encoded)
    again = Learner(learner.model.config.audio_encoder, tokenizer, learner.device, learner.rate)
    again.restore(resume.load(tmp_path / "training.pt", learner.device))
    for each in (learner, again):
        torch.manual_seed(1)
        each.advance(*batch, 0.2)
    for name, weight in learner.weights.items():
        torch.testing.assert_close(weight, again.weights[name], msg=name)
    learner.save(tmp_path)
    again.begin_from(tmp_path, music_only=True)
    for name, weight in learner.average.items():
        new = name.startswith(("text_encoder", "enc_to_dec")) or "encoder_attn." in name
        assert torch.equal(weight, again.weights[name]) != new or not weight.any(), name


def test_what_was_learned_is_exported(learner: Learner, encoded: Path, tmp_path: Path) -> None:
    learner.save(tmp_path)
    FrameCodecModel(learner.model.config.audio_encoder).save_pretrained(tmp_path / "codec")
    assemble(tmp_path / "codec", encoded, [tmp_path], tmp_path / "out")
    model = MusicgenForConditionalGeneration.from_pretrained(tmp_path / "out", dtype=torch.float32)
    exported = model.state_dict()
    for name, weight in learner.average.items():
        torch.testing.assert_close(exported[name], weight, atol=1e-3, rtol=1e-3, msg=name)
    assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text()


def test_the_mean_of_two_models_has_the_words_that_only_the_later_one_knows(
    tmp_path: Path,
) -> None:
    earlier = {"words": torch.tensor([[1.0], [2.0]]), "norm": torch.tensor([4.0, 6.0])}
    later = {"words": torch.tensor([[3.0], [6.0], [9.0]]), "norm": torch.tensor([0.0, 2.0])}
    for name, weights in (("a", earlier), ("b", later)):
        (tmp_path / name).mkdir()
        save_file(weights, tmp_path / name / WEIGHTS)
    mean = mean_of([tmp_path / "a", tmp_path / "b"])
    assert mean["words"].tolist() == [[2.0], [4.0], [9.0]]
    assert mean["norm"].tolist() == [2.0, 4.0]
    assert all(torch.equal(mean_of([tmp_path / "b"])[name], later[name]) for name in later)


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

    def teach(minutes: float) -> Fork:
        options = f"--minutes {minutes} --batch 1 --frames 20 --device cpu --keep-every 1"
        folders = f"--corpus {corpus} --held-out {corpus} --out {out}"
        return program("training.codec", *folders.split(), *options.split())

    state = out / "training.pt"
    kill_once(teach(60), state, number)
    before = resume.load(state, torch.device("cpu"))
    assert before is not None and before["step"] > 0

    budget = before["spent"] / 60 + 0.05
    again = teach(budget).end()
    assert again.code == 0, again.errors
    assert f"going on from step {before['step']}" in again.output
    after = resume.load(state, torch.device("cpu"))
    assert after is not None and after["step"] > before["step"]
    codec = FrameCodecModel.from_pretrained(out)
    assert torch.isfinite(codec(torch.randn(1, 1, 6400))).all()
