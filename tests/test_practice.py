"""Practice: what is played, how likely that was, what it earns, and that it is played again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import MusicgenForConditionalGeneration

from cadenza.types import Sampling
from tests.reference import Reference
from training.corpus.compose import compose
from training.language_model.facts import FAMILIES, FRAME_RATE, Facts, arrays_of
from training.practice.learner import log_likelihoods, reinforce
from training.practice.listener import KEYS, Listener, Told
from training.practice.player import play
from training.practice.prompts import FIGURES, Prompts, asked, prompts
from training.practice.rewards import WORTH, advantages, earned, heard

TEXTS = ["jazz piano, 120 bpm", "techno"]
NANO = Path("src/cadenza/bundled/nano")


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(NANO)


@pytest.fixture
def model(reference: Reference) -> MusicgenForConditionalGeneration:
    return reference.model


@pytest.fixture
def tokens(reference: Reference) -> torch.Tensor:
    return torch.tensor(reference.tokenizer(TEXTS, padding=True)["input_ids"])


def test_takes_of_the_likeliest_tokens_are_those_of_transformers(
    reference: Reference, tokens: torch.Tensor
) -> None:
    theirs = reference.codes(reference.inputs(TEXTS), 40, guidance=3.0)
    ours = play(reference.model, tokens, 40, Sampling(top_k=1), torch.float32)
    np.testing.assert_array_equal(ours, theirs)


def test_takes_differ_and_stay_within_the_top_k(
    model: MusicgenForConditionalGeneration, tokens: torch.Tensor
) -> None:
    """With the two likeliest of each codebook, no token can be rarer than one of two or more."""
    sampling = Sampling(top_k=2)
    first, second = (play(model, tokens, 12, sampling, torch.float32) for _ in range(2))
    assert not torch.equal(first, second)
    with torch.no_grad():
        likely = log_likelihoods(model, first, tokens, sampling)
    assert likely.max() < 1e-5
    assert likely.exp().mean() > 0.5  # either the likelier of two, or seldom the other one


def test_likelihoods_are_those_of_guided_steps(
    reference: Reference, model: MusicgenForConditionalGeneration, tokens: torch.Tensor
) -> None:
    """Against a naive loop over transformers' own logits with and without the text."""
    sampling = Sampling(guidance=2.5, top_k=30)
    torch.manual_seed(0)
    codes = play(model, tokens, 6, sampling, torch.float32)
    with torch.no_grad():
        ours = log_likelihoods(model, codes, tokens, sampling)
        words = reference.tokenizer(TEXTS, padding=True, return_tensors="pt")
        special, books = reference.vocabulary, reference.codebooks
        for k in range(books):
            for frame in range(codes.shape[2]):
                known = torch.full((2, books, frame + k + 1), special)
                for book in range(books):
                    upto = min(max(frame + k - book, 0), codes.shape[2])
                    known[:, book, book + 1 : book + 1 + upto] = codes[:, book, :upto]
                states = model.text_encoder(**words).last_hidden_state
                states = model.enc_to_dec_proj(states) * words.attention_mask[..., None]
                with_text, without = (
                    model.decoder(
                        input_ids=known.flatten(0, 1),
                        encoder_hidden_states=heard,
                        encoder_attention_mask=words.attention_mask,
                    ).logits.unflatten(0, (2, books))[:, k, -1]
                    for heard in (states, torch.zeros_like(states))
                )
                guided = without + 2.5 * (with_text - without)
                best = guided.topk(30)
                rows = [
                    float(best.values[row].log_softmax(0)[best.indices[row] == token])
                    for row, token in enumerate(codes[:, k, frame])
                ]
                np.testing.assert_allclose(ours[:, k, frame], rows, atol=1e-3)


def test_what_was_praised_becomes_likelier_and_what_was_blamed_less_likely(
    model: MusicgenForConditionalGeneration, tokens: torch.Tensor
) -> None:
    torch.manual_seed(0)
    weights = [x for name, x in model.named_parameters() if not name.startswith("audio_encoder")]
    before = [weight.detach().clone() for weight in weights]
    codes = play(model, tokens, 20, Sampling())
    worth = torch.tensor([[1.0, 1.0], [-1.0, 0.0]])  # the second half of the second: neither
    try:
        with torch.no_grad():
            first = log_likelihoods(model, codes, tokens, Sampling()).mean(1)
        likely = reinforce(model, codes, tokens, worth, Sampling())
        with torch.no_grad():
            for weight in weights:
                weight -= 1e-2 * weight.grad
            second = log_likelihoods(model, codes, tokens, Sampling()).mean(1)
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.data.copy_(old)
            weight.grad = None
    assert second[0].mean() > first[0].mean() + 0.01
    assert second[1, :10].mean() < first[1, :10].mean() - 0.01
    assert likely.mean() == pytest.approx(float(first.mean()), abs=0.05)


def _facts(*seeds: int) -> Facts:
    known = {n: torch.from_numpy(a) for n, a in arrays_of([compose(s) for s in seeds]).items()}
    return Facts(
        known["tempo"], known["labels"], known["instruments"], torch.zeros(len(seeds)).long()
    )


def _certain(facts: Facts, tempi: torch.Tensor) -> Told:
    """A listener's words who knows it all."""

    def sure(place: torch.Tensor, count: int) -> torch.Tensor:
        return (torch.eye(count)[place.long().clamp(min=0)] + 1e-6).log()

    _, lead, drums, key = facts.labels.unbind(1)
    tempo = (facts.tempo[:, None] / tempi).log().abs().argmin(1)
    alone = facts.instruments.sum(1) == 1
    return Told(
        sure(tempo, len(tempi)),
        sure(key, KEYS),
        sure(lead, len(FAMILIES)),
        sure(drums, 2),
        sure(alone, 2),
    )


def test_a_take_earns_what_is_heard_of_what_was_asked() -> None:
    facts, tempi = _facts(*range(40)), torch.from_numpy(np.geomspace(57, 190, 400)).float()
    keyed = facts.labels[:, 3] >= 0
    right = heard(_certain(facts, tempi), tempi, facts)
    assert right[:, 0].min() > 0.97 and right[keyed].min() > 0.97
    other = Facts(
        *(x.roll(1, 0) for x in (facts.tempo, facts.labels, facts.instruments)), facts.start
    )
    wrong = heard(_certain(other, tempi), tempi, facts)
    same = facts.labels == other.labels
    for figure, column in (("lead", 1), ("drums", 2), ("key", 3)):
        likely = wrong[keyed, FIGURES.index(figure)] > 0.5
        assert torch.equal(likely, same[keyed, column])
    minor = facts.labels[:, 3] // 12 == other.labels[:, 3].clamp(min=0) // 12
    assert torch.equal(wrong[keyed, FIGURES.index("mode")] > 0.5, minor[keyed])
    off = (facts.tempo / other.tempo).log().abs()
    assert (wrong[off > 0.1, 0] < 0.01).all()
    half = _certain(Facts(facts.tempo * 2, *list(vars(facts).values())[1:]), tempi)
    assert (heard(half, tempi, facts)[facts.tempo < 90, 0] < 0.01).all()  # double is not right
    asking = torch.zeros(40, len(FIGURES), dtype=torch.bool)
    asking[:20, 0] = True
    money = earned(right, Prompts(torch.zeros(40, 1), facts, asking))
    assert money[:20].min() > 0.97 * WORTH[0] and not money[20:].any()


def test_praise_is_relative_to_the_same_prompt_and_to_how_a_take_began() -> None:
    rng = np.random.default_rng(0)
    prompt = np.repeat(rng.normal(0, 5, 50), 8)  # some prompts are easier
    begun, rest = rng.normal(0, 1, (2, 400))
    whole = torch.from_numpy(prompt + begun + rest)
    worth = advantages(torch.from_numpy(np.stack([prompt + 2 * begun])), whole, 8)
    assert worth.view(50, 8, 2).mean(1).abs().max() < 1e-6
    assert float(worth[:, 0].std()) == pytest.approx(1, abs=1e-3)
    corrected = np.corrcoef(worth[:, 1], begun)[0, 1]
    assert abs(corrected) < 0.1 < 0.5 < np.corrcoef(worth[:, 0], begun)[0, 1]
    assert np.corrcoef(worth[:, 1], rest)[0, 1] > 0.9


def test_prompts_know_what_they_ask_for(reference: Reference) -> None:
    batch = next(prompts(64, 400_000_000, reference.tokenizer))
    texts = reference.tokenizer.batch_decode(batch.tokens, skip_special_tokens=True)
    share = dict(zip(FIGURES, batch.asked.float().mean(0).tolist(), strict=True))
    assert 0.4 < share["tempo"] < 0.9 and 0.15 < share["key"] < 0.6
    for text, tempo, said in zip(texts, batch.facts.tempo, batch.asked, strict=True):
        if said[0]:
            assert str(round(float(tempo))) in text.replace(" ", "")
    twice = batch.repeat(3)
    assert torch.equal(twice.tokens[3:6], batch.tokens[1].expand(3, -1))
    assert torch.equal(twice.facts.tempo[::3], batch.facts.tempo)
    piece = compose(400_000_000)
    assert asked(piece, "music at 90 bpm in C minor with drums")[:3] == [True] * 3
    assert not any(asked(piece, "music")[:5])


def test_the_listener_learns_a_tempo_it_can_hear(reference: Reference) -> None:
    """Codes that tick: one sound at every beat, another one in between."""
    torch.manual_seed(0)
    listener = Listener(reference.model.audio_encoder.quantizer.codebooks.data)
    facts = _facts(*range(16))

    def ticking() -> tuple[torch.Tensor, Facts]:
        tempo = torch.empty(16).uniform_(70, 170)
        beats = (torch.arange(300) + 25 * torch.rand(16, 1)) * tempo[:, None] / 60 / FRAME_RATE
        codes = torch.where(beats % 1 < 0.12, 5, 700)[:, None].expand(-1, 4, -1)
        return codes, Facts(tempo, facts.labels, facts.instruments, facts.start)

    optimiser = torch.optim.Adam(listener.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        listener.losses(*ticking())[0].backward()
        optimiser.step()
    codes, truth = ticking()
    with torch.no_grad():
        told = listener.eval()(codes)
    chosen = listener.tempo.told[told.tempo.argmax(1)]
    assert ((chosen / truth.tempo - 1).abs() < 0.04).float().mean() > 0.8
    torch.testing.assert_close(told.tempo.exp().sum(1), torch.ones(16))
