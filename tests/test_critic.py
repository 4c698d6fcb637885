"""A critic: the network it was taught as, pieces of known score, and what prompts ask for."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

import cadenza
from cadenza.checkpoints.layout import CRITIC
from cadenza.errors import ModelDamaged
from cadenza.framecodec import FrameCodecConfig, FrameCodecModel
from cadenza.model import Model
from cadenza.request import GenerateRequest
from cadenza.studio import audition
from cadenza.studio.audition import auditions, count_for
from cadenza.studio.critic import Critic, critic_in, wanted_of
from cadenza.studio.critic.network import SCALE, CriticNetwork, pack
from cadenza.studio.scoring import CRITIC_PARTS, ranked
from cadenza.take import Take
from cadenza.types import Audio, Codes, Key
from tests.forks import Fork, kill_once, program
from tests.renders import rendered
from tests.sounds import sine
from training import resume
from training.corpus.compose import compose
from training.corpus.piece import HELD_OUT, Piece
from training.critic.network import TEMPI, WEIGHTS
from training.critic.network import Critic as Taught
from training.export import add_critic
from training.language_model.facts import FAMILIES, FRAME_RATE, Facts, arrays_of

NANO = Path(cadenza.__file__).parent / "bundled" / "nano"
FACTS = ("tempo", "key", "lead", "drums", "alone")
PIECES = 48


@pytest.fixture(scope="module")
def critic() -> Critic:
    found = critic_in(NANO)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return [compose(seed, 10.0) for seed in range(HELD_OUT + 640_000, HELD_OUT + 640_000 + PIECES)]


@pytest.fixture(scope="module")
def codes(pieces: list[Piece], torch_nano: Model) -> list[Codes]:
    """Of pieces that no critic was taught on, as nano's codec hears them."""
    sounds = [rendered(piece) for piece in pieces]
    return [torch_nano._codec.encode(sound) for sound in sounds]


def test_it_tells_what_the_network_tells_that_it_was_taught_as(torch_nano: Model) -> None:
    torch.manual_seed(0)
    codebooks = torch.randn(4, 64, 128)
    taught = Taught(codebooks).eval()
    for weight in taught.parameters():
        if weight.dim() == 1:  # as training leaves none of them
            torch.nn.init.normal_(weight, 0.5, 0.5)
    weights = {
        name: weight.numpy()
        for name, weight in taught.state_dict().items()
        if not name.startswith("codec.")
    }
    exact = {name: weight.astype(np.float32) for name, weight in weights.items()}
    exact |= {
        name + SCALE: np.ones(len(weight)) for name, weight in weights.items() if weight.ndim > 1
    }
    networks = [
        CriticNetwork(form, codebooks.numpy(), TEMPI, taught.tempo.range, 50.0)
        for form in (exact, pack(weights))
    ]
    for frames in (150, 251, 500):
        ids = np.random.default_rng(frames).integers(0, 64, (3, 4, frames))
        with torch.no_grad():
            theirs = taught(torch.from_numpy(ids))
        ours, packed = (network(ids) for network in networks)
        for name in FACTS:
            wanted = getattr(theirs, name).numpy()
            np.testing.assert_allclose(getattr(ours, name), wanted, atol=0.02, err_msg=name)
            assert np.abs(np.exp(getattr(packed, name)) - np.exp(wanted)).max() < 0.1, name


def test_it_learns_a_tempo_that_can_be_heard() -> None:
    """Codes that tick: one sound at every beat, another one in between."""
    torch.manual_seed(0)
    taught = Taught(torch.from_numpy(_codebooks()))
    known = arrays_of([compose(seed) for seed in range(16)])
    labels, instruments = (torch.from_numpy(known[name]) for name in ("labels", "instruments"))

    def ticking() -> tuple[torch.Tensor, Facts]:
        tempo = torch.empty(16).uniform_(70, 170)
        beats = (torch.arange(300) + 25 * torch.rand(16, 1)) * tempo[:, None] / 60 / FRAME_RATE
        codes = torch.where(beats % 1 < 0.12, 5, 700)[:, None].expand(-1, 4, -1)
        return codes, Facts(tempo, labels, instruments, torch.zeros(16, dtype=torch.int64))

    optimiser = torch.optim.Adam(taught.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        taught.losses(*ticking())[0].backward()
        optimiser.step()
    codes, truth = ticking()
    with torch.no_grad():
        told = taught.eval()(codes)
    chosen = taught.tempo.told[told.tempo.argmax(1)]
    assert ((chosen / truth.tempo - 1).abs() < 0.04).float().mean() > 0.8
    torch.testing.assert_close(told.tempo.exp().sum(1), torch.ones(16))


def test_it_hears_what_held_out_pieces_are(
    critic: Critic, pieces: list[Piece], codes: list[Codes]
) -> None:
    right: dict[str, list[bool]] = {name: [] for name in ("tempo", "key", "lead", "drums", "alone")}
    for piece, heard in zip(pieces, codes, strict=True):
        opinion = critic.weigh(heard, "a drum solo" if piece.solo else "piano and drums")
        right["tempo"].append(abs(opinion.tempo / piece.tempo - 1) < 0.04)
        right["lead"].append(opinion.lead == piece.lead)
        right["alone"].append(opinion.fulfilled["alone"] > 0.5)
        if piece.lead != "drums":
            right["key"].append(str(opinion.key) == piece.key)
        if "drums" in opinion.fulfilled:
            right["drums"].append((opinion.fulfilled["drums"] > 0.5) == piece.has_drums)
    shares = {name: float(np.mean(found)) for name, found in right.items()}
    assert shares["tempo"] > 0.85 and shares["drums"] > 0.9 and shares["alone"] > 0.8, shares
    assert shares["key"] > 0.5 and shares["lead"] > 0.65, shares  # chance: 1 in 24, 1 in 29


def test_the_prompt_of_a_piece_is_fulfilled_by_it_more_than_by_others(
    critic: Critic, pieces: list[Piece], codes: list[Codes], torch_nano: Model
) -> None:
    recipe = torch_nano.generate("x", duration=0.1, seed=0).recipe
    sound = rendered(pieces[0])
    wins = []
    for number in range(0, PIECES, 4):
        piece = pieces[number]
        prompt = f"{piece.lead} music at {piece.tempo:g} bpm in {piece.key}"
        named = cadenza.Recipe(**{**vars(recipe), "prompt": prompt, "text": prompt})
        takes = [Take(sound, heard, named) for heard in codes]
        best = ranked(takes, critic)[0]
        wins.append(best.take.codes is codes[number])
        assert {"tempo", "key", "mode"} <= best.score.parts.keys()
    assert np.mean(wins) > 0.6  # 1 in 48 by chance


def test_stretching_mends_a_tempo_and_a_long_piece_is_heard_in_windows(
    critic: Critic, pieces: list[Piece], codes: list[Codes]
) -> None:
    sure = [
        (piece, heard)
        for piece, heard in zip(pieces, codes, strict=True)
        if critic.weigh(heard, f"{piece.tempo:g} bpm").fulfilled["tempo"] > 0.7
    ]
    assert len(sure) > PIECES / 2
    for piece, heard in sure:
        prompt = f"{piece.tempo * 1.06:g} bpm"
        assert critic.weigh(heard, prompt).fulfilled["tempo"] < 0.4
        assert critic.weigh(heard, prompt, in_time=True).fulfilled["tempo"] > 0.6
        for factor in (0.95, 1.0, 1.06):
            near = critic.tempo_near(heard, piece.tempo * factor)
            assert near == pytest.approx(piece.tempo, rel=0.01)
        assert critic.tempo_near(heard, piece.tempo * 1.2) is None
    piece, heard = sure[0]
    twice = Codes(np.tile(heard.ids, (1, 2)), heard.frame_rate)
    once, again = (critic.hear(ids.ids).tempo for ids in (heard, twice))
    np.testing.assert_allclose(once, again, atol=1e-4)


def test_transposing_mends_a_key_that_is_near(
    critic: Critic, pieces: list[Piece], codes: list[Codes]
) -> None:
    sure = [
        (Key(piece.tonic, piece.mode), heard)
        for piece, heard in zip(pieces, codes, strict=True)
        if piece.lead != "drums" and critic.weigh(heard, piece.key).fulfilled["key"] > 0.7
    ]
    assert len(sure) > 5
    for key, heard in sure:
        for semitones in (0, 1, -2, 4):
            wanted = Key((key.tonic + semitones) % 12, key.mode)
            near = abs(semitones) <= 2
            parts = critic.weigh(heard, str(wanted), in_key=True).fulfilled
            assert critic.transposition(heard, wanted) == (semitones if near else 0)
            assert (parts["key"] > 0.6) == near
            if semitones:
                assert critic.weigh(heard, str(wanted)).fulfilled["key"] < 0.4


@pytest.mark.parametrize(
    ("prompt", "leads", "alone"),
    [
        ("jazz", (), None),
        ("a lone oboe", ("woodwind",), True),
        ("Solo Piano, 90 bpm", ("piano",), True),
        ("nothing but drums", ("drums",), True),
        ("rock with an electric guitar solo", ("electric guitar",), None),
        ("electric piano and upright bass", ("electric piano",), False),
        ("bass guitar by itself", ("bass",), True),
        ("mandolins, fiddle and a drum kit", ("guitar", "violin"), False),
        ("drum and bass", (), None),
        ("string quartet without drums", ("strings",), None),
        ("trumpet with drums", ("trumpet",), False),
        ("harpsichord", ("harpsichord",), None),
        ("a choir, no instruments", ("choir",), True),
        ("slow choir a cappella", ("choir",), True),
        ("calm strings without a piano", ("strings",), None),
        ("a groove with no bass, guitar or drums, led by flutes", ("flute",), None),
        ("no piano, drums", (), None),
        ("funk, guitar-free, with sax", ("sax",), None),
        ("12-string guitar alone", ("guitar",), True),
        ("good vibes, funk", (), None),
        ("jazz on vibes", ("mallets",), None),
    ],
)
def test_prompts_are_read_as_a_person_would(
    prompt: str, leads: tuple[str, ...], alone: bool | None
) -> None:
    wanted = wanted_of(prompt)
    assert (wanted.leads, wanted.alone) == (leads, alone)
    assert set(wanted.leads) <= set(FAMILIES)


def test_of_many_takes_those_that_begin_best_are_played_to_the_end(
    torch_nano: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audition, "BEGINNING", 1.5)
    request = GenerateRequest("solo piano in A minor", duration=2.0, seed=40)
    steps: list[tuple[int, int]] = []
    [heard] = auditions(torch_nano, [request], 6, lambda *at: steps.append(at))
    assert len(heard) == audition.SHORTLIST
    assert steps == sorted(steps) and steps[-1][0] == steps[-1][1]
    critic = torch_nano.critic
    assert critic is not None
    promise = {}
    for seed in range(40, 46):
        begun = torch_nano.generate(request.prompt, duration=audition.BEGINNING, seed=seed)
        parts = critic.weigh(begun.codes, "solo piano in A minor").fulfilled
        weights = [CRITIC_PARTS[name][0] for name in parts]
        promise[seed] = np.average(list(parts.values()), weights=weights)
    best = sorted(promise, key=lambda seed: -promise[seed])[: audition.SHORTLIST]
    assert {one.take.recipe.sampling.seed for one in heard} == set(best)
    assert all(one.take.audio.duration == 2.0 for one in heard)
    alone = torch_nano.generate(request.prompt, duration=2.0, seed=best[0])
    [same] = [one.take for one in heard if one.take.recipe.sampling.seed == best[0]]
    assert same.codes.sha256 == alone.codes.sha256
    [whole] = auditions(torch_nano, [request], 4, whole=True)
    assert len(whole) == 4
    kept = torch_nano.generate(request.prompt, best_of=6, duration=2.0, seed=40)
    assert kept.codes.sha256 == heard[0].take.codes.sha256


def test_the_best_is_brought_in_time_unless_that_is_said_otherwise(
    torch_nano: Model, tiny_text: Path
) -> None:
    prompt, options = "techno with drums, 126 bpm", {"duration": 2.0, "seed": 3}
    best = torch_nano.generate(prompt, best_of=2, **options)
    assert best.recipe.in_time and not best.recipe.in_key and best.audio.duration == 2.0
    seed = best.recipe.sampling.seed
    same = torch_nano.generate(prompt, duration=2.0, seed=seed, in_time=True)
    np.testing.assert_array_equal(best.audio.samples, same.audio.samples)
    others = [
        torch_nano.generate(prompt, best_of=2, in_time=False, **options),
        torch_nano.generate(prompt, best_of=2, beginning=sine(1.0, 32_000), **options),
        torch_nano.generate("solo piano", best_of=2, **options),
        torch_nano.generate("techno, 300 bpm", best_of=2, **options),
        torch_nano.generate(prompt, **options),
        cadenza.load(tiny_text, backend="torch").generate(prompt, best_of=2, **options),
    ]
    assert not any(take.recipe.in_time for take in others)
    keyed = torch_nano.generate("solo piano in A minor", best_of=2, **options)
    assert keyed.recipe.in_key and not keyed.recipe.in_time


def test_many_are_played_only_where_there_is_something_to_choose_by(
    torch_nano: Model, tiny_text: Path
) -> None:
    assert count_for(None, None, torch_nano, ["pop, 120 bpm", None]) == audition.CHOICE
    assert count_for(None, None, torch_nano, ["a lonely evening", None]) == 1
    assert count_for(None, 7, torch_nano, ["pop, 120 bpm"]) == 1
    assert count_for(5, 7, torch_nano, ["pop"]) == 5
    assert count_for(None, None, cadenza.load(tiny_text, backend="torch"), ["pop, 120 bpm"]) == 1


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_shortest_takes_are_heard(torch_nano: Model, frames: int) -> None:
    critic = torch_nano.critic
    assert critic is not None
    ids = np.random.default_rng(frames).integers(0, 1024, (4, frames))
    told = critic.hear(ids)
    assert all(np.isfinite(part).all() for part in vars(told).values())


def test_silence_is_thrown_out_whatever_the_codes_say(
    critic: Critic, codes: list[Codes], torch_nano: Model
) -> None:
    recipe = torch_nano.generate("music", duration=0.1, seed=0).recipe
    silent = Audio(np.zeros((1, 320_000), np.float32), 32_000)
    [heard] = ranked([Take(silent, codes[0], recipe)], critic)
    assert heard.score.faults and heard.score.faults[0].startswith("silent")


def test_a_critic_is_exported_and_a_damaged_one_is_said_to_be(tmp_path: Path) -> None:
    assert critic_in(tmp_path) is None
    folder = tmp_path / "nano"
    shutil.copytree(NANO, folder)
    taught = Taught(torch.from_numpy(_codebooks()))
    weights = {name: weight.contiguous() for name, weight in taught.state_dict().items()}
    save_file(weights, tmp_path / WEIGHTS)
    add_critic(tmp_path / WEIGHTS, folder)
    ids = np.random.default_rng(0).integers(0, 1024, (4, 200))
    with torch.no_grad():
        theirs = taught.eval()(torch.from_numpy(ids)[None]).tempo.numpy()
    exported = critic_in(folder)
    assert exported is not None
    assert np.abs(np.exp(exported.hear(ids).tempo) - np.exp(theirs)).max() < 0.05
    whole = (folder / CRITIC).read_bytes()
    for damaged in (whole[:1000], b"", whole[: len(whole) // 2]):
        (folder / CRITIC).write_bytes(damaged)
        with pytest.raises(ModelDamaged, match=r"critic\.safetensors cannot be read"):
            critic_in(folder)


def test_teaching_goes_on_after_a_kill(tmp_path: Path) -> None:
    FrameCodecModel(FrameCodecConfig(codebook_size=64)).save_pretrained(tmp_path / "codec")
    codes = tmp_path / "codes"
    codes.mkdir()
    pieces = [compose(seed) for seed in range(8)]
    random = np.random.default_rng(0).integers(0, 64, (8, 4, 600), dtype=np.int16)
    np.savez(
        codes / "codes-00000.npz",
        codes=random,
        tokens=np.ones((8, 1, 4), np.int16),
        **arrays_of(pieces),
    )

    def teach(minutes: float) -> Fork:
        folders = f"--codes {codes} --held-out {codes} --codec {tmp_path / 'codec'}"
        options = f"--out {tmp_path / 'out'} --minutes {minutes} --keep-every 1"
        return program("training.critic", *folders.split(), *options.split())

    state = tmp_path / "out" / "training.pt"
    kill_once(teach(60), state, signal.SIGKILL)
    before = resume.load(state, torch.device("cpu"))
    assert before is not None and before["step"] > 0
    budget = before["spent"] / 60 + 0.05
    again = teach(budget).end()
    assert again.code == 0, again.errors
    assert f"going on from step {before['step']}" in again.output
    taught = Taught(torch.zeros(4, 64, 128))
    taught.load_state_dict(
        {k: torch.from_numpy(v) for k, v in load_file(tmp_path / "out" / WEIGHTS).items()}
    )
    assert all(torch.isfinite(weight).all() for weight in taught.parameters())


def test_it_fits_into_a_package_with_the_model() -> None:
    assert sum(path.stat().st_size for path in NANO.iterdir()) <= 40e6


def _codebooks() -> np.ndarray:
    name = "audio_encoder.quantizer.codebooks"
    return load_file(NANO / "model.safetensors")[name].astype(np.float32)
