"""A piece that is steered while it plays: mixes, crossfades, takeovers, and pieces without an end.

The reference is the whole sequence run anew at every step through transformers' decoder, each
position listening to what its step listened to.
"""

from __future__ import annotations

import dataclasses
import gc
import tracemalloc
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cadenza import delay
from cadenza.engine import Engine, Mix, Request, TorchBackend
from cadenza.engine.mix import MAX_PARTS, alone, crossfade, with_room
from cadenza.engine.steering import STRIDE, Steering
from cadenza.engine.window import Window, windows
from cadenza.errors import ModelMismatch, OptionError
from cadenza.types import Conditioning, Sampling
from tests.reference import Reference
from tests.test_engine import SHAPE, UniformBackend

TEXTS = ["jazz piano, 120 bpm", "upbeat funk with slap bass and drums", "sad robot", "a"]
WINDOW, OVERLAP = 30, 12


@pytest.fixture(scope="module")
def text(tiny_text: Path) -> Reference:
    return Reference(tiny_text)


@pytest.fixture(scope="module", params=["tiny_melody", "tiny_stereo_melody"])
def melody(request: pytest.FixtureRequest) -> Reference:
    return Reference(request.getfixturevalue(request.param))


def conditionings(reference: Reference) -> list[Conditioning]:
    return [reference.conditioning(reference.inputs([words]))[0] for words in TEXTS]


def copy(conditioning: Conditioning) -> Conditioning:
    return Conditioning(conditioning.cross.copy(), conditioning.prefix.copy())


def dummy(value: float = 0.0) -> Conditioning:
    return Conditioning(np.full((2, 4), value, np.float32), np.zeros((0, 4), np.float32))


def play(
    engine: Engine, request: Request, frames: int, steers: dict[int, dict] | None = None
) -> np.ndarray:
    """The first ``frames`` frames; ``steers`` says before which step what is passed to steer."""
    steers = dict(steers or {})
    number = engine.add(request)
    made: list[np.ndarray] = []
    step = 0
    while len(made) < frames:
        if step in steers:
            engine.steer(number, **steers.pop(step))
        made += [emission.ids for emission in engine.step() if emission.id == number]
        step += 1
    assert not steers
    engine.cancel(number)
    return np.concatenate(made, axis=1)


# ── Mixes and paths ─────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), max_size=30))
@example([(1, 5e-324), (0, 0.5)])  # half of the smallest number is 0
@settings(deadline=None)
def test_a_mix_is_whole_and_bounded_wherever_it_is_steered(turns: list[tuple[int, float]]) -> None:
    texts = [dummy(n) for n in range(10)]
    mix = alone(texts[0])
    for place, share in turns:
        to = texts[place]
        start = with_room(mix, to)
        assert dict(crossfade(start, to, 0)) == pytest.approx(dict(start))
        assert crossfade(start, to, 1) == alone(to)
        mix = crossfade(start, to, share)
        weights = [weight for _, weight in mix]
        assert sum(weights) == pytest.approx(1) and min(weights) > 0
        assert len({part for part, _ in mix}) == len(mix) <= MAX_PARTS


def test_a_full_mix_gives_up_its_faintest_part() -> None:
    texts = [dummy(n) for n in range(MAX_PARTS + 1)]
    shares = np.arange(MAX_PARTS) + 1.0
    mix: Mix = tuple(zip(texts, (shares / shares.sum()).tolist(), strict=False))
    assert [part for part, _ in with_room(mix, texts[-1])] == texts[1:-1]
    assert with_room(mix, copy(texts[0])) == mix  # it is there already


@given(st.integers(0, 60), st.integers(1, 40))
@settings(deadline=None)
def test_a_change_takes_its_time_and_arrives(over: int, later: int) -> None:
    here, there = dummy(1), dummy(2)
    steering = Steering(here, Sampling())
    assert not steering.advance()
    steering.turn(there, over)
    shares = []
    for _ in range(max(over, 1) + later):
        steering.advance()
        shares.append(dict(steering.mix).get(there, 0.0))
    ideal = np.minimum((np.arange(len(shares)) + 1) / max(over, 1), 1)
    assert shares[-1] == 1 and steering.mix == alone(there)
    assert np.all(np.diff(shares) >= 0)
    assert np.abs(np.array(shares) - ideal).max() <= STRIDE / max(over, STRIDE)
    assert not steering.advance()


def test_a_steer_during_a_steer_starts_from_the_present_mix() -> None:
    first, second, third = dummy(1), dummy(2), dummy(3)
    steering = Steering(first, Sampling())
    steering.turn(second, 100)
    for _ in range(50):
        steering.advance()
    before = dict(steering.mix)
    steering.turn(third, 1000)
    steering.advance()
    after = dict(steering.mix)
    assert {part: pytest.approx(after[part], abs=0.01) for part in before} == before
    assert after[third] == pytest.approx(STRIDE / 1000)


# ── Against transformers ────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def logits(reference: Reference, columns: np.ndarray, heard: list[Mix]) -> torch.Tensor:
    """The last logits ``[K, V]`` of ``columns [K, n]``, position ``t`` hearing ``heard[t]``."""
    parts = list({part: None for mix in heard for part, _ in mix})
    states = np.concatenate([part.cross for part in parts])
    scores = [
        np.concatenate(
            [
                np.full(len(p.cross), np.log(weight) if (weight := dict(mix).get(p)) else -1e9)
                for p in parts
            ]
        )
        for mix in heard
    ]
    out = reference.decoder(
        torch.from_numpy(np.ascontiguousarray(columns)),
        encoder_hidden_states=torch.from_numpy(states)[None],
        encoder_attention_mask=torch.tensor(np.array(scores), dtype=torch.float32)[None, None],
        use_cache=False,
    )
    return out.logits[:, -1]


def naive(reference: Reference, heard: list[Mix], guidance: list[float], frames: int) -> np.ndarray:
    """Greedy codes ``[K, frames]``, window by window, every step from the start of its window."""
    special, tail = reference.vocabulary, 3
    delays = np.arange(4)
    nothing = alone(reference.unconditional(heard[0][0][0]))
    stretches: list[Window] = []
    for window in windows(0, None, WINDOW, OVERLAP):
        stretches.append(window)
        if window.end >= frames + tail:
            break
    columns = [np.full(4, special)]  # that of step -1
    for step in range(frames + tail):
        column = np.full(4, special)
        owners = [next(w for w in stretches if step - d < w.end) for d in delays]
        for window in set(owners):
            steps = np.arange(window.begin - 1, step)
            fed = np.stack([columns[s + 1] for s in steps], axis=1)
            outside = ~(
                (window.begin <= steps - delays[:, None]) & (steps - delays[:, None] < window.end)
            )
            fed[outside] = special
            mixes = heard[window.begin : step + 1]
            with_text = logits(reference, fed, mixes)
            without = logits(reference, fed, [nothing] * len(mixes))
            drawn = (without + (with_text - without) * guidance[step]).argmax(-1).numpy()
            for k, owner in enumerate(owners):
                if owner is window and step >= delays[k]:
                    column[k] = drawn[k]
        columns.append(column)
    return delay.undo(np.stack(columns[1:], axis=1), delays)


@pytest.mark.parametrize(
    ("start", "over"),
    [(8, 0), (8, 10), (14, 20), (16, 30), (1, 12)],
    ids=["at-once", "in-a-window", "as-the-twin-opens", "across-the-hand-over", "from-the-start"],
)
def test_a_crossfade_is_what_every_position_heard(text: Reference, start: int, over: int) -> None:
    frames = 44
    here, there, later, _ = conditionings(text)
    steering = Steering(here, Sampling())
    heard, guidance = [], []
    for step in range(frames + 3):
        if step == start:
            steering.turn(there, over)
        if step == start + 12:
            steering.turn(later, over)
        steering.advance()
        heard.append(steering.mix)
        guidance.append(3.0 if step < 20 else 5.0)
    theirs = naive(text, heard, guidance, frames)

    greedy = Sampling(temperature=0, top_k=text.vocabulary, guidance=3)
    engine = Engine(TorchBackend(text.decoder), window=WINDOW, overlap=OVERLAP)
    request = Request(here, text.unconditional(here), greedy, 200)
    steers: dict[int, dict] = {
        start: {"conditioning": there, "over": over},
        start + 12: {"conditioning": later, "over": over},
    }
    steers.setdefault(20, {})["sampling"] = dataclasses.replace(greedy, guidance=5)
    ours = play(engine, request, frames, steers)
    np.testing.assert_array_equal(ours, theirs)
    unsteered = play(engine, request, frames)
    assert (ours != unsteered).mean() > 0.2


@torch.no_grad()
def test_a_prefix_is_taken_over_by_a_voice_that_knows_the_last_frames(melody: Reference) -> None:
    frames, turn = 25, 18
    here, there, *_ = conditionings(melody)
    greedy = Sampling(temperature=0, top_k=melody.vocabulary, guidance=1)
    engine = Engine(TorchBackend(melody.decoder), window=WINDOW, overlap=OVERLAP)
    request = Request(here, None, greedy, None)
    ours = play(engine, request, frames, {turn: {"conditioning": there}})
    before = play(engine, request, frames)
    delays = np.array(delay.delays_of(melody.codebooks, 2 if melody.codebooks == 8 else 1))
    tail = max(delays)

    # All that was made by then, in columns; then the rest anew, from the overlap on.
    columns = delay.apply(before, delays, melody.vocabulary)[:, :turn]
    begin = turn - OVERLAP
    states = torch.from_numpy(there.prefix)[None]
    for step in range(turn, frames + tail):
        steps = np.arange(begin - 1, step)
        fed = columns[:, begin - 1 :].copy()
        fed[steps - delays[:, None] < begin] = melody.vocabulary
        out = melody.decoder(torch.from_numpy(fed), encoder_hidden_states=states, use_cache=False)
        columns = np.concatenate([columns, out.logits[:, -1].argmax(-1)[:, None]], axis=1)
    theirs = delay.undo(columns, delays)
    np.testing.assert_array_equal(ours, theirs)
    assert (ours[:, turn:] != before[:, turn:]).any()


def test_a_prefix_is_steered_with_guidance_and_past_a_window(melody: Reference) -> None:
    """The voice that takes over has two rows, and windows of its own follow."""
    here, there, *_ = conditionings(melody)
    sampling = Sampling(top_k=melody.vocabulary, guidance=3)
    backend = TorchBackend(melody.decoder)
    engine = Engine(backend, window=WINDOW, overlap=OVERLAP)
    request = Request(here, melody.unconditional(here), sampling, None)
    steer = {"conditioning": there, "unconditional": melody.unconditional(there)}
    made = play(engine, request, 100, {25: steer, 70: {"conditioning": here}})
    np.testing.assert_array_equal(made[:, :20], play(engine, request, 20))
    assert not backend._voices


# ── What a steer leaves alone ───────────────────────────────────────────────────────────────────


@given(st.integers(0, 50), st.integers(0, 40), st.integers(0, 3))
@settings(deadline=None, max_examples=12)
def test_codes_before_a_steer_are_those_of_the_unsteered(
    text: Reference, turn: int, over: int, seed: int
) -> None:
    here, there, *_ = conditionings(text)
    sampling = Sampling(top_k=text.vocabulary, seed=seed)
    engine = Engine(TorchBackend(text.decoder), window=WINDOW, overlap=OVERLAP)
    request = Request(here, text.unconditional(here), sampling, None)
    plain = play(engine, request, 60)
    steered = play(engine, request, 60, {turn: {"conditioning": there, "over": over}})
    whole = max(0, turn - 3)  # frames whose last codebook was made before the turn
    np.testing.assert_array_equal(steered[:, :whole], plain[:, :whole])
    assert (steered != plain).any()
    for steer in ({"conditioning": copy(here), "over": over}, {"sampling": sampling}, {}):
        np.testing.assert_array_equal(play(engine, request, 60, {turn: steer}), plain)


@pytest.mark.parametrize("over", [0, 15])
def test_there_and_back_at_once_changes_nothing(text: Reference, over: int) -> None:
    here, there, *_ = conditionings(text)
    engine = Engine(TorchBackend(text.decoder))
    request = Request(here, text.unconditional(here), Sampling(top_k=64, seed=1), None)
    number = engine.add(request)
    made: list[np.ndarray] = []
    for step in range(43):
        if step == 10:
            engine.steer(number, there, over=over)
            engine.steer(number, here)
        made += [emission.ids for emission in engine.step()]
    np.testing.assert_array_equal(np.concatenate(made, axis=1), play(engine, request, 40))


def test_neighbours_do_not_notice(text: Reference) -> None:
    here, there, other, _ = conditionings(text)
    sampling = Sampling(top_k=64)
    engine = Engine(TorchBackend(text.decoder), window=WINDOW, overlap=OVERLAP)
    request = Request(other, text.unconditional(other), sampling, 50)
    alone_ = play(engine, request, 50)
    steered = engine.add(Request(here, text.unconditional(here), sampling, None))
    neighbour = engine.add(request)
    made: list[np.ndarray] = []
    for step in range(53):
        if step % 7 == 3:
            engine.steer(steered, there if step % 2 else here, over=step)
        made += [emission.ids for emission in engine.step() if emission.id == neighbour]
    np.testing.assert_array_equal(np.concatenate(made, axis=1), alone_)


def test_the_noise_goes_on_whatever_the_temperature_was() -> None:
    """Uniform logits show the noise itself: a greedy stretch takes no block from the rest."""
    warm, cold = (
        Sampling(top_k=16, guidance=1, seed=3),
        Sampling(temperature=0, top_k=16, guidance=1),
    )
    request = Request(dummy(), None, warm, None)
    plain = play(Engine(UniformBackend()), request, 40)
    steers = {10: {"sampling": cold}, 20: {"sampling": dataclasses.replace(warm, seed=99)}}
    steered = play(Engine(UniformBackend()), request, 40, steers)
    np.testing.assert_array_equal(steered[:, :7], plain[:, :7])
    np.testing.assert_array_equal(steered[:, 20:], plain[:, 20:])
    assert (steered[0, 10:20] == 0).all()


def test_guidance_can_be_taken_away_and_given_back(text: Reference) -> None:
    """A voice of two rows without guidance draws what one of a single row would."""
    here, *_ = conditionings(text)
    guided, plain = (Sampling(temperature=0, top_k=64, guidance=g) for g in (3.0, 1.0))
    engine = Engine(TorchBackend(text.decoder), window=WINDOW, overlap=OVERLAP)
    nothing = text.unconditional(here)
    two_rows = play(engine, Request(here, nothing, guided, None), 50, {0: {"sampling": plain}})
    np.testing.assert_array_equal(two_rows, play(engine, Request(here, None, plain, None), 50))
    back = play(
        engine,
        Request(here, nothing, guided, None),
        50,
        {20: {"sampling": plain}, 23: {"sampling": guided}},
    )
    assert (back[:, 23:] != two_rows[:, 23:]).any()


def test_a_request_that_waits_begins_with_what_it_was_steered_to(text: Reference) -> None:
    here, there, *_ = conditionings(text)
    engine = Engine(TorchBackend(text.decoder), max_rows=2)
    sampling = Sampling(top_k=64)
    first = engine.add(Request(here, text.unconditional(here), sampling, 5))
    second = engine.add(Request(here, text.unconditional(here), sampling, 20))
    engine.step()
    engine.steer(second, there, over=50)
    made = [e.ids for _ in range(40) for e in engine.step() if e.id == second]
    request = Request(there, text.unconditional(there), sampling, 20)
    np.testing.assert_array_equal(np.concatenate(made, axis=1), play(engine, request, 20))
    engine.steer(first, there)  # finished, and nothing happens


# ── Without an end ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("known", [0, 7, 29, 30, 80])
def test_a_piece_without_an_end_is_a_long_one(known: int) -> None:
    beginning = np.arange(4 * known).reshape(4, known) % 16 if known else None
    engine = Engine(UniformBackend(), window=WINDOW, overlap=OVERLAP)
    request = Request(dummy(), None, Sampling(top_k=16, guidance=1), None, beginning)
    number = engine.add(request)
    made = [e.ids for _ in range(203) for e in engine.step()]
    assert not engine.idle
    engine.cancel(number)
    long = play(engine, dataclasses.replace(request, frames=300), 200)
    np.testing.assert_array_equal(np.concatenate(made, axis=1)[:, -200:], long)


def test_later_voices_begin_with_the_first_frames_of_the_text() -> None:
    """They hear them in the place of the oldest that they share with the voice before."""
    backend = UniformBackend()
    engine = Engine(backend, window=WINDOW, overlap=OVERLAP)
    request = Request(dummy(1), None, Sampling(top_k=16, guidance=1), None)
    turn, settled = 100, 100 + 5 + WINDOW - 3  # frames; the last codebook comes three steps later
    whole = play(engine, request, 240, {turn: {"conditioning": dummy(2), "over": 5}})
    anchors = 0
    for number, columns in backend.fed.items():
        begin = number * (WINDOW - OVERLAP)
        seen = whole[:, begin : begin + WINDOW].copy()
        first = 0 if begin < turn else settled
        if number and (begin < turn or begin >= settled + OVERLAP // 2 + 3):
            seen[:, : OVERLAP // 2] = whole[:, first : first + OVERLAP // 2]
            anchors += 1
        start = np.full((4, 1), SHAPE.special)
        expected = np.concatenate([start, delay.apply(seen, SHAPE.delays, SHAPE.special)], axis=1)
        fed = np.stack(columns, axis=1)
        if begin + WINDOW <= whole.shape[1]:
            np.testing.assert_array_equal(fed, expected[:, : fed.shape[1]], err_msg=str(number))
    assert anchors > 6


def test_memory_does_not_grow() -> None:
    """Steered all the time, over many windows."""
    backend = AmnesicBackend()
    engine = Engine(backend, window=WINDOW, overlap=OVERLAP)
    number = engine.add(Request(dummy(), dummy(), Sampling(top_k=16), None))

    def run(steps: int) -> int:
        for step in range(steps):
            if step % 40 == 0:
                engine.steer(number, dummy(step + 1), over=25)
            engine.step()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        memory = [run(400) for _ in range(12)]
    finally:
        tracemalloc.stop()
    # What numpy keeps for later grows now and then; a leak grows in every run, and an array or a
    # conditioning for each of its ten steers, or a byte a step, would be more than this.
    assert min(np.diff(memory)) < 100
    assert len(backend.open) <= 2


class AmnesicBackend(UniformBackend):
    """Remembers nothing but which voices are open."""

    opened = 0

    def prefill(self, *_: object, **__: object) -> int:
        self.opened += 1
        self.open.add(self.opened)
        return self.opened

    def decode_one_step(
        self, voices: Sequence[int], columns: np.ndarray, noise: np.ndarray | None
    ) -> np.ndarray:
        assert set(voices) == self.open and noise is not None
        return noise.argmax(-1)


def test_what_is_no_longer_heard_is_forgotten(text: Reference) -> None:
    here, there, *_ = conditionings(text)
    heard = weakref.ref(here)
    engine = Engine(TorchBackend(text.decoder), window=WINDOW, overlap=OVERLAP)
    number = engine.add(Request(here, text.unconditional(here), Sampling(top_k=64), None))
    del here
    engine.step()
    engine.steer(number, there, over=20)
    for _ in range(20):
        engine.step()
    gc.collect()
    assert heard() is None


def test_weights_alone_cost_no_keys_and_values(
    text: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, *_ = conditionings(text)
    backend = TorchBackend(text.decoder)
    computed: list[int] = []
    compute = backend._decoder.cross_states
    monkeypatch.setattr(
        backend._decoder,
        "cross_states",
        lambda states: computed.append(len(states)) or compute(states),
    )
    nothing = text.unconditional(here)
    engine = Engine(backend, window=WINDOW, overlap=OVERLAP)
    request = Request(here, nothing, Sampling(top_k=64), None)
    play(engine, request, 90, {5: {"conditioning": there, "over": 60}})
    assert computed == [len(c.cross) for c in (here, nothing, there)]


# ── Refusals ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("steer", "error", "message"),
    [
        ({"over": -1}, OptionError, "-1 frames"),
        ({"sampling": Sampling(top_k=17)}, OptionError, "top-k is 17"),
        ({"unconditional": dummy(5)}, OptionError, "stays while a piece plays"),
        (
            {
                "conditioning": Conditioning(
                    np.zeros((2, 5), np.float32), np.zeros((0, 5), np.float32)
                )
            },
            ModelMismatch,
            "5 features",
        ),
    ],
)
def test_what_is_refused_changes_nothing(steer: dict, error: type[Exception], message: str) -> None:
    request = Request(dummy(), dummy(1), Sampling(top_k=16), None)
    plain = play(Engine(UniformBackend()), request, 30)
    engine = Engine(UniformBackend())
    number = engine.add(request)
    made = [e.ids for _ in range(10) for e in engine.step()]
    with pytest.raises(error, match=message):
        engine.steer(number, **steer)
    made += [e.ids for _ in range(23) for e in engine.step()]
    np.testing.assert_array_equal(np.concatenate(made, axis=1), plain)


def test_guidance_needs_its_row_from_the_start() -> None:
    engine = Engine(UniformBackend())
    number = engine.add(Request(dummy(), dummy(1), Sampling(top_k=16, guidance=1), None))
    with pytest.raises(OptionError, match=r"guidance 2 needs a second row"):
        engine.steer(number, sampling=Sampling(top_k=16, guidance=2.0))


def test_a_prefix_turns_at_once_or_not_at_all() -> None:
    engine = Engine(UniformBackend(dataclasses.replace(SHAPE, cross_attention=False)))
    here, there = (Conditioning(d.prefix, d.cross) for d in (dummy(1), dummy(2)))
    number = engine.add(Request(here, None, Sampling(top_k=16, guidance=1), None))
    engine.steer(number, copy(here), over=50)
    with pytest.raises(OptionError, match="at once only, not over 50 frames"):
        engine.steer(number, there, over=50)
    engine.steer(number, there)


def test_only_pieces_that_end_can_be_run() -> None:
    engine = Engine(UniformBackend())
    with pytest.raises(OptionError, match="pieces that end"):
        next(engine.run([Request(dummy(), None, Sampling(top_k=16, guidance=1), None)]))
