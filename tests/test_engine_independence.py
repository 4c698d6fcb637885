"""A request's codes with the real decoder and real sampling, alone and among neighbours."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from cadenza.engine import Engine, Request, TorchBackend
from cadenza.types import Sampling
from tests.reference import Reference

SEEDS = 40
FRAMES = 40
TEXTS = ["jazz piano, 120 bpm", "upbeat funk with slap bass and drums", "sad robot", "a"]


@pytest.fixture(scope="module", params=["tiny_text", "tiny_stereo_melody"])
def reference(request: pytest.FixtureRequest) -> Reference:
    folder: Path = request.getfixturevalue(request.param)
    return Reference(folder)


def _requests(reference: Reference) -> list[Request]:
    """Every seed with its own text, options and length; some outgrow the window of 30 frames."""
    conditioning = [reference.conditioning(reference.inputs([text]))[0] for text in TEXTS]
    return [
        Request(
            c := conditioning[seed % len(TEXTS)],
            reference.unconditional(c),
            Sampling(
                seed=seed,
                guidance=[3.0, 1.0, 6.0][seed % 3],
                temperature=[1.0, 1.4, 0.7][seed // 2 % 3],
                top_k=[64, 20][seed // 3 % 2],
                top_p=[1.0, 0.9][seed // 5 % 2],
            ),
            frames=[FRAMES, 12, 25][seed // 4 % 3],
        )
        for seed in range(SEEDS)
    ]


def _engine(reference: Reference, **options: int) -> Engine:
    return Engine(TorchBackend(reference.decoder), window=30, overlap=10, **options)


def _collect(engine: Engine, joining: dict[int, Request], leaving: dict[int, int]) -> list:
    """Step to the end; ``joining`` and ``leaving`` say at which step what is added or cancelled."""
    frames: dict[int, list[np.ndarray]] = {}
    step = 0
    while joining or not engine.idle:
        for number in [n for n in leaving if leaving[n] == step]:
            engine.cancel(number)
        if step in joining:
            frames[engine.add(joining.pop(step))] = []
        for emission in engine.step():
            frames[emission.id].append(emission.ids)
        step += 1
    return [np.concatenate(ids, axis=1) if ids else None for ids in frames.values()]


def _alone(reference: Reference, requests: list[Request]) -> list[np.ndarray]:
    engine = _engine(reference)
    return [_collect(engine, {0: request}, {})[0] for request in requests]


def test_alone_in_a_batch_and_when_neighbours_join_or_leave(reference: Reference) -> None:
    requests = _requests(reference)
    alone = _alone(reference, requests)
    assert len({codes.tobytes() for codes in alone}) == SEEDS

    for max_rows, pace in ((4, 1), (16, 1), (160, 1), (32, 5)):
        joining = {pace * n: request for n, request in enumerate(requests)}
        together = _collect(_engine(reference, max_rows=max_rows), joining, {})
        for seed, (one, many) in enumerate(zip(alone, together, strict=True)):
            np.testing.assert_array_equal(one, many, err_msg=f"{seed=} {max_rows=} {pace=}")

    # Every third is cancelled midway; the others must not notice.
    leaving = {number: number + 15 for number in range(1, SEEDS + 1) if number % 3 == 0}
    joining = dict(enumerate(requests))
    together = _collect(_engine(reference, max_rows=160), joining, leaving)
    for number, (one, many) in enumerate(zip(alone, together, strict=True), start=1):
        if number not in leaving:
            np.testing.assert_array_equal(one, many)
        elif many is not None:
            np.testing.assert_array_equal(one[:, : many.shape[1]], many)


def test_an_option_changes_what_it_should(reference: Reference) -> None:
    (request,) = _requests(reference)[:1]
    base = dataclasses.replace(
        request, sampling=Sampling(top_k=64, guidance=3.0, seed=1), frames=FRAMES
    )

    def codes(**options: float) -> np.ndarray:
        sampling = dataclasses.replace(base.sampling, **options)
        return _alone(reference, [dataclasses.replace(base, sampling=sampling)])[0]

    same = codes()
    changes = {"seed": 2, "guidance": 4.0, "temperature": 1.3, "top_k": 3, "top_p": 0.5}
    made = [same, *(codes(**{name: value}) for name, value in changes.items())]
    assert len({c.tobytes() for c in made}) == len(made)
    # Settings that switch an option off, and greedy, leave nothing for the others to change.
    assert np.array_equal(codes(top_k=1), codes(temperature=0))
    greedy = codes(temperature=0)
    assert np.array_equal(greedy, codes(temperature=0, seed=9, top_p=0.2, top_k=2))
    shorter = _alone(reference, [dataclasses.replace(base, frames=20)])[0]
    np.testing.assert_array_equal(shorter[:, :18], same[:, :18])


def test_the_special_id_is_never_drawn(reference: Reference) -> None:
    sampling = Sampling(temperature=10, top_k=reference.vocabulary, guidance=1.0)
    (conditioning,) = reference.conditioning(reference.inputs(TEXTS[:1]))
    request = Request(conditioning, None, sampling, 400)
    (made,) = _alone(reference, [request])
    assert made.shape == (reference.codebooks, 400)
    assert made.min() >= 0 and made.max() == reference.vocabulary - 1


def test_a_row_of_products_does_not_depend_on_its_neighbours(tiny_text: Path) -> None:
    """Why codes are equal in a batch where weights are packed: not luck, but equal bits."""
    from cadenza.engine.linear import PackedLinear, packs

    if not packs(torch.device("cpu"), torch.float32):
        pytest.skip("this torch has no oneDNN with packed weights")
    torch.manual_seed(0)
    for width, out in ((48, 144), (256, 1024), (1024, 256)):
        linear = PackedLinear(torch.randn(out, width) / width**0.5)
        x = torch.randn(24, width)
        whole = linear(x)
        for rows in (1, 2, 3, 5, 8, 16):
            assert torch.equal(linear(x[:rows]), whole[:rows])
            assert torch.equal(linear(x[-rows:]), whole[-rows:])
