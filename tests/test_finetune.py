"""Fine-tuning: what is prepared, what is learned, and what happens when something goes wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from transformers import MusicgenForConditionalGeneration

import cadenza
from benchmarks.finetune import WORDS, steam_organ
from cadenza.audio import loudness, read, write
from cadenza.beats import Analysis, analyse
from cadenza.checkpoints import load_parts, read_adapters, resolve
from cadenza.errors import (
    AudioError,
    MissingPackage,
    ModelDamaged,
    OptionError,
    OutputError,
    PromptError,
)
from cadenza.finetune import Finetuning, Material, Settings, finetuning
from cadenza.finetune import sounds as cutting
from cadenza.finetune.captions import facts_of, read_captions
from cadenza.finetune.preparing import Piece, fingerprint
from cadenza.finetune.sounds import LONGEST, SHORTEST, _edges, pieces_of
from cadenza.finetune.training import Trainer, held_out
from cadenza.request import GenerateRequest
from cadenza.types import Audio
from tests.command import run
from tests.forks import Ended, Fork
from tests.sounds import silence, sine

RATE = 32_000
SHORT = Settings(steps=6, batch=2, every=2, rank=4)


def joined(*parts: Audio) -> Audio:
    return Audio(np.concatenate([part.samples for part in parts], axis=1), parts[0].rate)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model plays for the training is short here."""
    monkeypatch.setattr(finetuning, "OWN_SECONDS", 0.5)
    monkeypatch.setattr(finetuning, "SAMPLE_SECONDS", 0.5)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short pieces for bells."""
    folder = tmp_path_factory.mktemp("sounds")
    for seed in range(4):
        write(steam_organ(seed, 5.0), folder / f"{seed}.flac")
    return folder


def prepared(folder: Path, base: Path, output: Path, **options: Any) -> Material:
    return Finetuning(folder, output, model=str(base), **options).prepare()


# ── What is prepared ────────────────────────────────────────────────────────────────────────────


def test_pieces_begin_with_a_bar_and_leave_out_silence(tmp_path: Path) -> None:
    music = steam_organ(3, 50.0)
    write(joined(music, silence(30.0), sine(5.0, peak=0.05)), tmp_path / "x.wav")
    cuts = list(pieces_of(tmp_path / "x.wav"))
    heard = analyse(read(tmp_path / "x.wav"))
    downbeats = np.asarray(heard.downbeats)
    assert len(cuts) >= 5
    for cut, following in zip(cuts, [*cuts[1:], None], strict=True):
        assert SHORTEST <= cut.audio.duration <= LONGEST
        assert np.abs(downbeats - cut.start).min() < 1e-6
        assert following is None or cut.start + cut.audio.duration <= following.start + 1e-3
    quiet = [c for c in cuts if c.start > 50 and c.start + c.audio.duration < 80]
    assert quiet == []
    whole = joined(*(cut.audio for cut in cuts))
    assert loudness(whole) == pytest.approx(-16, abs=1.0)


def test_any_length_and_rate(tmp_path: Path) -> None:
    """Longer than a section: all of it is used but for the ends of sections."""
    sound = steam_organ(1, 65.0)
    write(Audio(np.repeat(np.tile(sound.samples, (1, 2)), 2, axis=0), 24_000), tmp_path / "x.ogg")
    cuts = list(pieces_of(tmp_path / "x.ogg"))
    length = 2 * 65 * RATE / 24_000
    assert sum(cut.audio.duration for cut in cuts) > 0.9 * length
    assert [cut.start for cut in cuts] == sorted(cut.start for cut in cuts)
    assert all(cut.audio.channels == 2 and cut.audio.rate == 24_000 for cut in cuts)


@pytest.mark.parametrize("bar", [0.9, 2.0, 5.0, 7.0, 13.0, 40.0])
@pytest.mark.parametrize("duration", [2.0, 3.5, 11.0, 29.0, 120.0])
def test_edges_lie_on_downbeats(bar: float, duration: float) -> None:
    beats = tuple(np.arange(0.3, duration, bar / 4))
    edges = list(_edges(Analysis(duration, beats=beats)))
    marks = [*(beats[::4] if duration > LONGEST else [0.0]), duration]
    for start, end in edges:
        assert any(start == mark for mark in marks) and 0 < end - start <= LONGEST + 1e-9
        assert any(end == mark for mark in marks) or end == start + LONGEST
    for (_, end), (start, _) in pairwise(edges):
        assert end == start or bar > LONGEST
    without_beats = list(_edges(Analysis(duration)))
    assert sum(end - start for start, end in without_beats) == pytest.approx(
        duration if duration >= SHORTEST else 0
    )


def test_a_sound_too_large_for_the_memory_is_refused(tmp_path: Path) -> None:
    """Silence of two minutes is small as a file, whatever it becomes when it is read."""
    place = tmp_path / "large.flac"
    with soundfile.SoundFile(place, "w", 384_000, 8, "PCM_16", format="FLAC") as file:
        file.write(np.zeros((384_000, 8), np.int16))
    with pytest.raises(AudioError, match=r"8 channels at 384000 Hz\): make it stereo"):
        list(pieces_of(place))


def test_copies_sound_alike_and_others_do_not(tmp_path: Path) -> None:
    pieces = [steam_organ(seed, 6.0) for seed in range(6)]
    vectors = np.stack([cutting.likeness(piece) for piece in pieces])
    products = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(products), 1, atol=1e-5)
    assert products[~np.eye(6, dtype=bool)].max() < 0.8
    for suffix in ("mp3", "ogg", "opus"):
        write(Audio(0.3 * pieces[0].samples, RATE), tmp_path / f"x.{suffix}")
        assert cutting.likeness(read(tmp_path / f"x.{suffix}")) @ vectors[0] > 0.98


def test_corrupt_silent_and_repeated_files_are_left_out_and_listed(
    sounds: Path, tiny_text: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(sounds, folder)
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff" + bytes(500))
    (folder / "cut.flac").write_bytes((folder / "0.flac").read_bytes()[:3000])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "notes.txt").write_text("not a sound")
    (folder / ".hidden.wav").write_bytes(b"x")
    os.mkfifo(folder / "pipe.wav")  # whoever opened it would wait for ever
    write(silence(10.0), folder / "silent.wav")
    write(sine(0.2), folder / "short.wav")
    shutil.copy(folder / "1.flac", folder / "again.flac")
    (folder / "more").mkdir()
    write(read(folder / "2.flac"), folder / "more" / "copy.mp3")
    material = prepared(folder, tiny_text, folder / "sound", words="bells")
    left = {str(entry.file.relative_to(folder)): entry.reason for entry in material.skipped}
    assert set(left) == {
        *("cover.jpg", "cut.flac", "empty.wav", "silent.wav", "short.wav"),
        *("again.flac", "more/copy.mp3"),
    }
    assert "cannot be read as sound" in left["cover.jpg"]
    assert left["again.flac"] == "it is the same file as 1.flac"
    assert left["more/copy.mp3"] == "all of it is heard in other files"
    assert "silent" in left["silent.wav"]
    used = {str(source.file.relative_to(folder)) for source in material.sources}
    assert used == {"0.flac", "1.flac", "2.flac", "3.flac"}
    # Its own samples, were there any, are no material.
    write(steam_organ(9, 5.0), folder / "sound" / "training" / "sample.wav")
    assert prepared(folder, tiny_text, folder / "sound", words="bells").sources == material.sources


def test_the_codes_are_those_of_the_codec_and_made_once(
    sounds: Path, tiny_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cadenza.codec import Codec

    first = prepared(sounds, tiny_text, tmp_path / "out")
    parts: Any = load_parts(resolve(tiny_text), device="cpu", dtype=torch.float32)
    [cut] = pieces_of(sounds / "0.flac")
    expected = Codec(parts.model.audio_encoder, 1).encode(cut.audio).ids
    np.testing.assert_array_equal(first.pieces[0].codes, expected)

    def never(self: Codec, audio: Audio) -> None:
        raise AssertionError("encoded twice")

    kept = sorted((tmp_path / "out" / "training" / "codes").iterdir())
    assert len(kept) == 4
    with monkeypatch.context() as patch:
        patch.setattr(Codec, "encode", never)
        second = prepared(sounds, tiny_text, tmp_path / "out", words="other words")
    assert [p.codes.tolist() for p in first.pieces] == [p.codes.tolist() for p in second.pieces]
    assert fingerprint(first.pieces) != fingerprint(second.pieces)  # the captions are others
    for content in (b"", kept[0].read_bytes()[:-40], b"PK\x03\x04nonsense"):
        kept[0].write_bytes(content)
        again = prepared(sounds, tiny_text, tmp_path / "out")
        assert fingerprint(again.pieces) == fingerprint(first.pieces)


def test_captions(tmp_path: Path) -> None:
    files = []
    for name in ("a.wav", "sub/b.wav", "c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        files.append(tmp_path / name)
    assert read_captions(tmp_path, files) == {}
    (tmp_path / "a.txt").write_text("\ufeffslow  bells,\n in a hall\n")
    table = tmp_path / "table.csv"
    table.write_text('file,who,caption\na.wav,x,no\nsub/b.wav,y,"drums, loud"\n')
    assert read_captions(tmp_path, files) == {
        files[0]: "slow bells, in a hall",  # beside the file, so it comes first
        files[1]: "drums, loud",
    }
    for content, said in (
        ("name,text\na.wav,x\n", "must have the columns file and caption"),
        ("file,caption\nd.wav,x\n", "names 'd.wav', which is not in the folder"),
        ("file,caption\na.wav,x\na.wav,y\n", "twice"),
        ("", "must have the columns"),
    ):
        table.write_text(content)
        with pytest.raises(OptionError, match=said):
            read_captions(tmp_path, files)
    table.write_text("file,caption\na.wav,\n")
    with pytest.raises(PromptError, match=r"table.csv, a.wav: the caption is empty"):
        read_captions(tmp_path, files)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="cannot be read as text"):
        read_captions(tmp_path, files)
    table.write_text("file,caption\n")
    (tmp_path / "second.csv").touch()
    with pytest.raises(OptionError, match="are both tables"):
        read_captions(tmp_path, files)


def test_a_table_of_captions_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    table = tmp_path / "captions.CSV"
    (tmp_path / "._captions.csv").write_bytes(b"\x00\x05\x16\x07")  # what macOS leaves behind

    def read_back(text: str) -> list[str | None]:
        table.write_bytes(text.encode())
        return [read_captions(tmp_path, files).get(file) for file in files]

    captions = ['dusty\n"tape", piano', "dusty\u2028tape\x85piano"]
    for end in ("\n", "\r\n"):
        written = io.StringIO(newline="")
        rows = [("file", "caption"), ("a.wav", captions[0]), ("b.wav", captions[1])]
        csv.writer(written, lineterminator=end).writerows(rows)
        assert read_back(written.getvalue()) == ['dusty "tape", piano', "dusty tape piano"]
    for row, said in (
        ("b.wav,dusty tape, slow", "b.wav: there are more cells than columns: put the caption in"),
        ('b.wav,"dusty tape', "line 3, cannot be read"),
        ('b.wav,"dusty" tape', "line 3, cannot be read"),
        (f"b.wav,{'x' * 140_000}", "line 3, cannot be read"),
    ):
        with pytest.raises(OptionError, match=said):
            read_back(f"file,caption\na.wav,bells\n{row}\nc.wav,x\n")


def _hits(seconds: float, tempo: float) -> Audio:
    """Bursts of noise, one each half beat."""
    rng = np.random.default_rng(0)
    samples = np.zeros(round(seconds * RATE))
    burst = rng.standard_normal(RATE // 10) * np.exp(-np.arange(RATE // 10) / 600)
    for start in np.arange(0, seconds - 0.2, 30 / tempo):
        samples[round(start * RATE) :][: len(burst)] += 0.3 * burst
    return Audio(samples.astype(np.float32)[None], RATE)


def test_what_is_measured() -> None:
    drums, low, high = _hits(10.0, 100.0), sine(10.0, hertz=110.0), sine(10.0, hertz=3520.0)
    with_drums = facts_of(drums, analyse(drums))
    assert with_drums.drums == "with drums" and with_drums.tempo in (100, 200)
    assert (facts_of(low, analyse(low)).colour, facts_of(low, analyse(low)).drums) == (
        "dark",
        "no drums",
    )
    assert facts_of(high, analyse(high)).colour == "bright"
    assert facts_of(low, analyse(low)).tempo is None
    caption = facts_of(low, analyse(low)).caption("my hum")
    assert caption.startswith("my hum, no drums, dark, A m")
    assert facts_of(low, Analysis(10.0)).caption("") == "no drums, dark"


# ── What is learned ─────────────────────────────────────────────────────────────────────────────


def _material(lengths: Sequence[int], codebooks: int, seed: int = 0) -> Material:
    rng = np.random.default_rng(seed)
    pieces = tuple(
        Piece(Path(f"{n}.wav"), 0.0, frames / 50, "jazz piano" * (n % 2) or "funk", codes)
        for n, frames in enumerate(lengths)
        for codes in [rng.integers(0, 64, (codebooks, frames))]
    )
    return Material(pieces, (), ())


@pytest.mark.parametrize("family", ["tiny_text", "tiny_stereo"])
def test_the_loss_is_that_of_the_engines_logits(
    family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Token by token: what the engine expects of each next token when it is fed the piece."""
    from cadenza.delay import apply, delays_of
    from cadenza.engine import TorchBackend
    from cadenza.states import text_states
    from cadenza.types import Conditioning, Sampling

    folder = request.getfixturevalue(family)
    parts: Any = load_parts(resolve(folder), device="cpu", dtype=torch.float32)
    codebooks = parts.model.config.decoder.num_codebooks
    material = _material([9, 14], codebooks)
    delays = delays_of(codebooks, parts.channels)
    nats: list[list[float]] = [[] for _ in range(codebooks)]
    backend = TorchBackend(parts.model.decoder, device="cpu", dtype=torch.float32)
    for piece in material.pieces:
        columns = apply(piece.codes, delays, 64)
        states = text_states(parts.model, parts.tokenizer, piece.caption)
        mix = ((Conditioning(states, states[:0]), 1.0),)
        nothing = np.zeros((codebooks, 0), np.int64)
        voice = backend.prefill(mix, None, Sampling(guidance=1.0), nothing, columns.shape[1] + 1)
        fed = np.full((codebooks, 1), 64)
        for wanted in columns.T:
            logits = torch.from_numpy(backend.logits([voice], fed.T)[0])
            for k, token in enumerate(wanted):
                if token != 64:
                    nats[k].append(-float(torch.log_softmax(logits[k], -1)[token]))
            fed = wanted[:, None]
    expected = np.mean([np.mean(of_one) for of_one in nats])
    trainer = Trainer(parts, material, material.pieces, SHORT, tmp_path / "state.pt")
    with torch.no_grad():
        assert float(trainer._heard(trainer._batch(material.pieces)).loss) == pytest.approx(
            expected, rel=1e-4
        )


def test_what_is_held_out() -> None:
    many = Material(
        tuple(
            Piece(Path(f"{n % 7}.wav"), float(n), 2.0, "x", np.zeros((4, 2), np.int64))
            for n in range(70)
        ),
        (),
        (),
    )
    learned, held = held_out(many, 0)
    assert len(learned) + len(held) == 70 and 7 <= len(held) <= 20
    assert not {p.file for p in learned} & {p.file for p in held}
    assert [id(p) for p in held_out(many, 0)[1]] == [id(p) for p in held]
    one_file = Material(
        tuple(Piece(Path("x"), float(n), 2.0, "x", p.codes) for n, p in enumerate(many.pieces)),
        (),
        (),
    )
    learned, held = held_out(one_file, 1)
    assert len(held) == 7 and len(learned) == 63
    few = Material(many.pieces[:2], (), ())
    assert held_out(few, 0) == ([*few.pieces], [*few.pieces])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("counts", "most"),
    [
        ((300, 25, 25), 25),
        ((25, 300, 25), 25),
        ((5, 5, 300, 5), 15),
        ((100,) * 20, 32),
        ((1, 1, 1), 1),
        ((20, 20, 20), 20),
        ((2000,), 32),
        ((900, 900), 32),
        ((40,), 4),
    ],
)
def test_all_is_learned_or_held_out(counts: Sequence[int], most: int, seed: int) -> None:
    pieces = [
        Piece(Path(f"{n}.wav"), 12.0 * number, 12.0, "x", np.zeros((4, 2), np.int64))
        for n, count in enumerate(counts)
        for number in range(count)
    ]
    learned, held = held_out(Material(tuple(pieces), (), ()), seed)
    assert sorted(map(id, [*learned, *held])) == sorted(map(id, pieces))
    assert 0 < len(held) <= most
    if most < 32 and len(counts) > 2:
        assert not {piece.file for piece in learned} & {piece.file for piece in held}
    else:
        places = [pieces.index(piece) for piece in held]
        assert places == [*range(places[0], places[-1] + 1)]


def test_only_the_matrices_are_learned(sounds: Path, tiny_text: Path, tmp_path: Path) -> None:
    material = prepared(sounds, tiny_text, tmp_path / "out")
    parts: Any = load_parts(resolve(tiny_text), device="cpu", dtype=torch.float32)
    before = {name: value.clone() for name, value in parts.model.state_dict().items()}
    trainer = Trainer(parts, material, material.pieces, SHORT, tmp_path / "state.pt")
    list(trainer.run(lambda done, total: None))
    after = {n.replace(".base_layer", ""): v for n, v in parts.model.state_dict().items()}
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    assert all(weight.any() for weight in trainer.lora.weights.values())
    assert trainer.step == 6


def test_it_ends_early(tiny_text: Path, tmp_path: Path) -> None:
    """Noise cannot be learned: what is held out never becomes likelier for long."""
    parts = load_parts(resolve(tiny_text), device="cpu", dtype=torch.float32)
    settings = Settings(steps=500, batch=2, every=4, patience=2, rate=0.02)
    noise = _material([30] * 5, 4)
    trainer = Trainer(parts, noise, noise.pieces, settings, tmp_path / "state.pt")
    reports = list(trainer.run(lambda done, total: None))
    assert reports[-1].step < 200
    best = min(reports, key=lambda report: report.held_out)
    assert reports[-3] is best


def test_nano_takes_on_a_timbre_and_keeps_what_it_was(
    tmp_path: Path, torch_nano: cadenza.Model
) -> None:
    """Ten pieces for an instrument that nano does not know, learned for a few steps: one that was
    not among them becomes far likelier, what nano plays to other prompts hardly less likely. How
    its takes sound then is measured by ``benchmarks.finetune``."""
    (tmp_path / "in").mkdir()
    for seed in range(10):
        write(steam_organ(seed, 4.0), tmp_path / "in" / f"{seed}.wav")
    settings = Settings(steps=20, batch=2, every=20)
    output = tmp_path / "sound"
    work = Finetuning(tmp_path / "in", output, model="nano", words=WORDS, settings=settings)
    material = work.prepare()
    list(work.train(material))

    others = ["slow waltz for strings", "heavy metal with distorted guitar, 150 bpm"]
    takes = torch_nano.generate_batch([GenerateRequest(p, duration=4, seed=5) for p in others])
    own = [
        Piece(tmp_path, 0.0, 4.0, prompt, take.codes.ids)
        for prompt, take in zip(others, takes, strict=True)
    ]
    _, new = held_out(material, settings.seed)
    losses = {}
    for name, adapters in (("before", {}), ("after", {output: 1.0})):
        checkpoint = replace(resolve("nano"), adapters=read_adapters(adapters))
        parts = load_parts(checkpoint, device="cpu", dtype=torch.float32)
        reader = Trainer(parts, material, own, settings, tmp_path / name)
        with torch.no_grad():
            losses[name] = [float(reader._heard(reader._batch(x)).loss) for x in (new, own)]
    assert losses["after"][0] < losses["before"][0] - 0.25, losses
    assert losses["after"][1] < losses["before"][1] + 0.15, losses


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────


def test_nothing_that_can_be_used(tiny_text: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    options: dict[str, Any] = {"model": str(tiny_text)}
    with pytest.raises(AudioError, match="holds no files"):
        Finetuning(tmp_path / "in", tmp_path / "out", **options).prepare()
    write(silence(5.0), tmp_path / "in" / "silent.wav")
    (tmp_path / "in" / "broken.mp3").write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"nothing in .* \(broken.mp3: .*; silent.wav: it is sil"):
        Finetuning(tmp_path / "in", tmp_path / "out", **options).prepare()
    result = run("finetune", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", "nano")
    assert result.code == 1 and result.errors.startswith("cadenza: nothing in")
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_one_file_is_enough(sounds: Path, tiny_text: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(sounds / "0.flac", tmp_path / "in")
    work = Finetuning(tmp_path / "in", tmp_path / "out", model=str(tiny_text), settings=SHORT)
    material = work.prepare()
    assert len(material.pieces) == 1
    reports = list(work.train(material))
    assert reports[-1].step == 6 and any(report.best for report in reports)
    cadenza.load(tiny_text, adapters={tmp_path / "out": 1.0}, backend="torch")


def test_what_is_refused_before_any_work(
    sounds: Path,
    tiny_text: Path,
    tiny_melody: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = {"model": str(tiny_text)}
    with pytest.raises(OptionError, match="is not a folder"):
        Finetuning(tmp_path / "nowhere", tmp_path / "out", **base)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(OutputError, match="is not empty"):
        Finetuning(sounds, tmp_path / "full", **base)
    with pytest.raises(OutputError, match="is a file"):
        Finetuning(sounds, tmp_path / "full" / "x", **base)
    with pytest.raises(OutputError, match="cannot make"):
        Finetuning(sounds, tmp_path / "full" / "x" / "y", **base).prepare()
    with pytest.raises(OptionError, match="follows a melody"):
        Finetuning(sounds, tmp_path / "out", model=str(tiny_melody)).prepare()
    with pytest.raises(OptionError, match="steps must be from 1"):
        Settings(steps=0)
    monkeypatch.setattr("cadenza.finetune.lora.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"pip install 'cadenza\[finetune\]'"):
        Finetuning(sounds, tmp_path / "out", **base)


def _fill_the_disk() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


def _train(folder: Path, output: Path, model: Path, how: str) -> None:
    finetuning.OWN_SECONDS = finetuning.SAMPLE_SECONDS = 0.5
    work = Finetuning(folder, output, model=str(model), settings=SHORT)

    def progress(done: int, total: int) -> None:
        if how == "kill" and done == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    material = work.prepare()
    if how == "full":
        _fill_the_disk()
    for report in work.train(material, progress):
        if how == "kill" or (how == "full later" and report.step == 2):
            print(report.step, flush=True)
        if how == "full later" and report.step == 2:
            _fill_the_disk()


def trained(folder: Path, output: Path, model: Path, how: str = "") -> Ended:
    """Fine-tuned in a process of its own, which ends well or as ``how`` says."""
    return Fork(lambda: _train(folder, output, model, how)).end()


@pytest.fixture(scope="module")
def undisturbed(sounds: Path, tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "sound"
    done = trained(sounds, output, tiny_text)
    assert done.code == 0, done.errors
    return output


def files_of(adapter: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in adapter.glob("adapter_*")}


@pytest.mark.parametrize("how", ["kill", "full", "full later"])
def test_it_goes_on_after_a_kill_or_a_full_disk_and_ends_the_same(
    how: str, sounds: Path, tiny_text: Path, tmp_path: Path, undisturbed: Path
) -> None:
    arguments = sounds, tmp_path / "sound", tiny_text
    done = trained(*arguments, how)
    if how == "kill":
        assert done.code == -signal.SIGKILL and done.output.split() == ["0", "2"]
    else:
        assert "cadenza.errors.OutputError: cannot write" in done.errors
        assert done.output.split() == ([] if how == "full" else ["2"])
    state = tmp_path / "sound" / "training" / "state.pt"
    assert state.exists() == (how != "full")
    assert trained(*arguments).code == 0
    assert files_of(tmp_path / "sound") == files_of(undisturbed)
    assert set(files_of(undisturbed)) == {"adapter_config.json", "adapter_model.safetensors"}
    assert not state.exists() and not list((tmp_path / "sound").rglob("*.part"))


def test_a_state_of_something_else_or_damaged(
    sounds: Path, tiny_text: Path, tmp_path: Path, undisturbed: Path
) -> None:
    output = tmp_path / "sound"
    trained(sounds, output, tiny_text, "kill")

    def train(settings: Settings) -> None:
        work = Finetuning(sounds, output, model=str(tiny_text), settings=settings)
        list(work.train(work.prepare()))

    with pytest.raises(OptionError, match="other sounds, captions or settings"):
        train(Settings(steps=6, batch=2, every=2, rank=5))
    state = output / "training" / "state.pt"
    whole = state.read_bytes()

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "run"),)

    torch.save({"asked": Evil()}, tmp_path / "evil.pt")
    for content in (b"", whole[:-500], (tmp_path / "evil.pt").read_bytes()):
        state.write_bytes(content)
        with pytest.raises(ModelDamaged, match="remove it to begin anew"):
            train(Settings(steps=6, batch=2, every=2, rank=4))
    assert not (tmp_path / "run").exists()
    state.write_bytes(whole)
    with pytest.raises(OutputError, match="holds a finished adapter"):
        Finetuning(sounds, undisturbed, model=str(tiny_text))


def test_the_music_of_another_model_is_not_its_own(
    sounds: Path, tiny_text: Path, tmp_path: Path
) -> None:
    """One model was stopped before its first state; another goes on in the same place."""
    other = tmp_path / "other"
    model = MusicgenForConditionalGeneration.from_pretrained(tiny_text)
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.copy_(weight.flip(0))
    shutil.copytree(tiny_text, other)
    model.save_pretrained(other)

    def own(base: Path, output: str) -> str:
        work = Finetuning(sounds, tmp_path / output, model=str(base))
        work._made("")
        return fingerprint(work._own())

    first = own(tiny_text, "one")
    kept = (tmp_path / "one" / "training" / "own.npz").read_bytes()
    assert own(tiny_text, "one") == first
    assert (tmp_path / "one" / "training" / "own.npz").read_bytes() == kept
    assert own(other, "one") == own(other, "two") != first


def test_two_at_once(sounds: Path, tiny_text: Path, tmp_path: Path) -> None:
    work = Finetuning(sounds, tmp_path / "out", model=str(tiny_text), settings=SHORT)
    running = work.train(work.prepare())
    next(running)
    with pytest.raises(OutputError, match="another process is at work"):
        Finetuning(sounds, tmp_path / "out", model=str(tiny_text)).prepare()
    running.close()  # type: ignore[attr-defined]
    Finetuning(sounds, tmp_path / "out", model=str(tiny_text)).prepare()


# ── The command ─────────────────────────────────────────────────────────────────────────────────


def test_the_command(
    sounds: Path, tiny_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sounds, "in")
    Path("in/broken.wav").write_bytes(b"x")
    Path("in/2.txt").write_text("[intro] a bell of my own [/intro]")  # no markup of the table
    options = ["--model", str(tiny_text), "--steps", "4", "--every", "2", "--batch", "2"]
    result = run("finetune", "in", "-o", "one", "--words", "glass bells", *options)
    assert result.code == 0, result.errors
    for said in (
        "0.flac",
        "glass bells, ",
        "[intro] a bell of my own [/intro]",
        "left out: broken.wav: ",
        "4 pieces",
    ):
        assert said in result.output
    assert "step 4: learned" in result.errors
    captions = [
        piece["caption"] for piece in json.loads(Path("one/training/pieces.json").read_text())
    ]
    assert captions[2] == "[intro] a bell of my own [/intro]" and captions[0].startswith(
        "glass bells, "
    )

    shown = json.loads(run("finetune", "in", "-o", "two", *options, "--json").output)
    assert shown["pieces"] == 4 and [r["step"] for r in shown["reports"]] == [0, 2, 4]
    assert [entry["file"] for entry in shown["skipped"]] == ["in/broken.wav"]

    asked = ["--model", str(tiny_text), "--backend", "torch", "--duration", "0.4", "--seed", "1"]
    adapters = ["--adapter", "one/", "--adapter", "two=0.5"]
    assert run("generate", "bells", *asked, *adapters, "-o", "x.wav").code == 0
    found = json.loads(run("verify", "x.wav", "--json").output)["recipe"]["model"]["adapters"]
    assert [(entry["path"], entry["weight"]) for entry in found] == [("one/", 1.0), ("two", 0.5)]
    assert found[1]["sha256"] == shown["sha256"]
    refused = run("generate", "bells", "--adapter", "one", "-o", "y.wav")
    assert refused.code == 1 and "was made for" in refused.errors
