from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, MusicgenForConditionalGeneration

import cadenza
from cadenza.devices import choose_device
from cadenza.errors import Cancelled, OptionError
from cadenza.model import Model
from cadenza.request import GenerateRequest
from cadenza.take import read_recipe
from cadenza.torch_machine import choose_precision
from cadenza.types import Audio
from tests.sounds import sine

FAMILIES = ["tiny_text", "tiny_melody", "tiny_stereo", "tiny_stereo_melody"]


@pytest.fixture(scope="module")
def text(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text)


@pytest.fixture(scope="module")
def stereo(tiny_stereo: Path) -> Model:
    return cadenza.load(tiny_stereo)


@pytest.fixture(scope="module")
def melody(tiny_melody: Path) -> Model:
    return cadenza.load(tiny_melody)


def joined(chunks: Iterator[Audio]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks], axis=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_makes_music(family: str, request: pytest.FixtureRequest) -> None:
    model = cadenza.load(request.getfixturevalue(family))
    take = model.generate("jazz piano", duration=0.5, seed=1)
    channels = 2 if "stereo" in family else 1
    assert take.audio.samples.shape == (channels, 16_000)
    assert take.audio.rate == model.rate == 32_000
    assert take.codes.ids.shape == (4 * channels, 25)
    assert np.isfinite(take.audio.samples).all() and take.audio.peak > 0


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_sound_and_codes_are_those_of_transformers(backend: str, tiny_text: Path) -> None:
    """Greedy, with guidance: the published pipeline from a text to samples."""
    theirs = MusicgenForConditionalGeneration.from_pretrained(tiny_text).eval()
    inputs = AutoTokenizer.from_pretrained(tiny_text)(["sad robot"], return_tensors="pt")
    with torch.inference_mode():
        expected = theirs.generate(
            **inputs, do_sample=False, guidance_scale=3.0, max_new_tokens=53, min_new_tokens=53
        )
    ours = cadenza.load(tiny_text, backend=backend, precision="fp32")
    take = ours.generate("sad robot", duration=1, temperature=0)
    np.testing.assert_allclose(take.audio.samples, expected[0].numpy(), atol=1e-4)


def test_the_same_seed_is_the_same_music_and_another_is_not(text: Model) -> None:
    first = text.generate("jazz", duration=1, seed=7)
    assert text.generate("jazz", duration=1, seed=7).codes.sha256 == first.codes.sha256
    assert text.generate("jazz", duration=1, seed=8).codes.sha256 != first.codes.sha256
    assert text.generate("rock", duration=1, seed=7).codes.sha256 != first.codes.sha256


def test_a_seed_is_drawn_and_written_down(text: Model) -> None:
    first, second = (text.generate("jazz", duration=0.5) for _ in range(2))
    assert first.recipe.sampling.seed != second.recipe.sampling.seed
    again = text.generate("jazz", duration=0.5, seed=first.recipe.sampling.seed)
    assert again.codes.sha256 == first.codes.sha256


@pytest.mark.parametrize(
    "option",
    [
        {"guidance": 1.0},
        {"guidance": 6.0},
        {"temperature": 0.5},
        {"top_k": 3},
        {"top_p": 0.3},
        {"negative": "slow drums"},
    ],
    ids=str,
)
def test_every_option_reaches_the_engine(text: Model, option: dict[str, object]) -> None:
    plain = text.generate("jazz piano", duration=1, seed=3)
    changed = text.generate("jazz piano", duration=1, seed=3, **option)
    assert changed.codes.sha256 != plain.codes.sha256
    assert changed.codes.frames == plain.codes.frames


def test_unconditional_music_ignores_no_text(text: Model) -> None:
    take = text.generate(None, duration=0.5, seed=3)
    assert take.recipe.prompt is None and take.recipe.text is None
    assert take.codes.sha256 != text.generate("jazz", duration=0.5, seed=3).codes.sha256


def test_a_batch_is_each_of_its_pieces(text: Model) -> None:
    requests = [
        GenerateRequest("jazz piano", duration=0.5, seed=1),
        GenerateRequest("slow sad robot drums and bass", duration=1.0, seed=2, temperature=0),
        GenerateRequest(None, duration=0.3, seed=3, guidance=1),
    ]
    together = text.generate_batch(requests)
    alone = [text.generate_batch([request])[0] for request in requests]
    assert [t.codes.sha256 for t in together] == [t.codes.sha256 for t in alone]
    assert text.generate_batch([]) == []
    codes = text.generate_codes(
        [*requests, GenerateRequest("x", duration=0.2, beginning=alone[0].codes)]
    )
    assert [c.sha256 for c in codes[:3]] == [t.codes.sha256 for t in together]
    np.testing.assert_array_equal(codes[3].ids[:, :25], alone[0].codes.ids)
    assert codes[3].frames == 35 and text.generate_codes([]) == []


def test_codes_are_made_without_sound(text: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    request = GenerateRequest("jazz piano", duration=0.5, seed=1)
    expected = text.generate_batch([request])[0].codes
    monkeypatch.delattr("cadenza.model.Sounding")
    with pytest.raises(NameError):
        text.generate_batch([request])
    np.testing.assert_array_equal(text.generate_codes([request])[0].ids, expected.ids)


def test_a_batch_is_made_of_requests(text: Model) -> None:
    for batch in (["x"], "x", [GenerateRequest("y"), "x"]):
        with pytest.raises(OptionError, match="a batch is made of GenerateRequest, not of 'x'"):
            text.generate_batch(batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.02, 0.5, 2.0, 12.0])
def test_a_stream_is_the_piece_in_parts(text: Model, seconds: float) -> None:
    take = text.generate("ambient pads", duration=seconds, seed=5)
    chunks = list(text.stream("ambient pads", duration=seconds, seed=5))
    assert all(chunk.rate == 32_000 and chunk.samples.size for chunk in chunks)
    np.testing.assert_allclose(joined(iter(chunks)), take.audio.samples, atol=1e-4)
    if seconds == 12:
        # The first chunk comes long before the last frame, and none is longer than a second.
        assert max(chunk.duration for chunk in chunks) < 1


def test_a_stream_can_go_on_from_a_sound_and_leaves_it_out(text: Model) -> None:
    start = sine(1.0)
    take = text.generate("rock", duration=1, seed=2, beginning=start)
    heard = joined(text.stream("rock", duration=1, seed=2, beginning=start))
    np.testing.assert_allclose(heard, take.audio.samples[:, -heard.shape[1] :], atol=1e-4)
    assert heard.shape[1] == 32_000


def test_closing_a_stream_stops_the_work(text: Model) -> None:
    stream = text.stream("jazz", duration=600)
    next(stream)
    stream.close()
    assert text._backend._backend._voices == {}  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        next(stream)


def test_two_streams_do_not_disturb_each_other(text: Model) -> None:
    expected = [joined(text.stream(p, duration=1, seed=1)) for p in ("jazz", "rock")]
    first, second = (text.stream(p, duration=1, seed=1) for p in ("jazz", "rock"))
    heard: list[list[np.ndarray]] = [[], []]
    for one, two in zip(first, second, strict=True):
        heard[0].append(one.samples)
        heard[1].append(two.samples)
    for was, now in zip(expected, heard, strict=True):
        np.testing.assert_array_equal(np.concatenate(now, axis=1), was)


def test_a_stream_refuses_at_once_not_at_its_first_chunk(text: Model) -> None:
    with pytest.raises(OptionError, match="top-k is 65"):
        text.stream("jazz", top_k=65)
    for times in ({"duration": "10"}, {"duration": 1e308}, {"duration": 1e10}, {"buffer": "2"}):
        with pytest.raises(OptionError, match=f"{next(iter(times))} must be"):
            text.stream("jazz", **times)


def test_an_error_while_streaming_reaches_the_reader(
    text: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = text.stream("jazz", duration=5)
    next(stream)

    def broken(*_: object) -> None:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(text._backend, "decode_one_step", broken)
    with pytest.raises(RuntimeError, match="the device is gone"):
        list(stream)


def test_progress_counts_every_step_and_may_cancel(text: Model) -> None:
    seen: list[tuple[int, int]] = []
    text.generate("jazz", duration=0.5, progress=lambda *now: seen.append(now))
    assert [done for done, _ in seen] == list(range(1, 29))
    assert {total for _, total in seen} == {28}  # 25 frames, and 3 more steps for the delays

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        text.generate("jazz", duration=600, progress=stop)
    assert text._backend._backend._voices == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize("rate", [22_050, 32_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_beginning_of_any_rate_and_channels_is_kept(
    text: Model, stereo: Model, rate: int, channels: int
) -> None:
    for model in (text, stereo):
        start = sine(1.0, rate, channels=channels)
        take = model.generate("jazz", duration=0.5, seed=1, beginning=start)
        assert take.codes.frames == 50 + 25
        assert take.audio.channels == model.channels
        assert take.recipe.frames == 25
        assert take.recipe.continued is not None
        other = model.generate("jazz", duration=0.5, seed=1, beginning=sine(hertz=1000))
        assert (other.codes.ids[:, :50] != take.codes.ids[:, :50]).any()


def test_only_whole_frames_of_a_beginning_count(text: Model) -> None:
    take = text.generate("jazz", duration=0.5, beginning=sine(0.99))
    assert take.codes.frames == 49 + 25


def test_every_whole_frame_of_a_beginning_counts(text: Model) -> None:
    """18560 samples are 29 frames of 640; in seconds times frames a second they are 28.999…"""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 18_560)).astype(np.float32)
    for missing, frames in ((0, 29), (1, 28)):
        start = Audio(noise[:, missing:], 32_000)
        take = text.generate("jazz", duration=0.5, beginning=start)
        assert take.codes.frames == frames + 25


def test_extending_keeps_what_was_there(text: Model) -> None:
    take = text.generate("jazz", duration=1, seed=1)
    longer = text.extend(take, 0.5, seed=2)
    np.testing.assert_array_equal(longer.codes.ids[:, :50], take.codes.ids)
    assert longer.codes.frames == 75
    assert longer.recipe.text == "jazz"
    margin = 20 * 640  # the end of the old piece hears the new one
    np.testing.assert_allclose(
        longer.audio.samples[:, : 32_000 - margin], take.audio.samples[:, :-margin], atol=1e-4
    )
    assert text.extend(take, 0.5, prompt="rock", seed=2).codes.sha256 != longer.codes.sha256
    assert text.extend(sine(1.0), 0.5, prompt="rock").codes.frames == 75


def test_music_longer_than_a_window(text: Model) -> None:
    """35 s: past the 30 s of a window. The first frames are those of a shorter piece."""
    long = text.generate("jazz", duration=35, seed=1)
    assert long.codes.frames == 1750
    short = text.generate("jazz", duration=10, seed=1)
    np.testing.assert_array_equal(long.codes.ids[:, :495], short.codes.ids[:, :495])


def test_a_melody_is_heard_and_its_rate_and_channels_do_not_matter(melody: Model) -> None:
    options = {"duration": 1, "temperature": 0}
    low, high = sine(3.0, hertz=330), sine(3.0, hertz=370)
    plain = melody.generate("jazz", **options)
    with_low = melody.generate("jazz", melody=low, **options)
    assert with_low.codes.sha256 != plain.codes.sha256
    assert melody.generate("jazz", melody=high, **options).codes.sha256 != with_low.codes.sha256
    elsewhere = sine(3.0, 44_100, hertz=330)
    doubled = Audio(np.repeat(elsewhere.samples, 2, axis=0), 44_100)
    same = melody.generate("jazz", melody=doubled, **options)
    assert same.codes.sha256 == with_low.codes.sha256
    assert same.recipe.melody is not None


def test_enhance_keeps_both_texts(text: Model) -> None:
    take = text.generate("sad robot", duration=0.1, enhance=True)
    assert take.recipe.prompt == "sad robot"
    assert take.recipe.text == cadenza.enhance("sad robot")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_runs_and_is_written_down(tiny_text: Path, precision: str) -> None:
    model = cadenza.load(tiny_text, device="cpu", precision=precision)
    take = model.generate("jazz", duration=0.2, seed=1)
    assert (take.recipe.device, take.recipe.precision) == ("cpu", precision)
    assert take.audio.samples.dtype == np.float32


def test_auto_chooses_what_is_there() -> None:
    device = choose_device("auto")
    assert device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_precision("auto", "cpu") == "fp32"
    assert choose_precision("auto", "cuda") == "fp16"


def test_numbers_of_numpy_are_numbers(text: Model, tmp_path: Path) -> None:
    take = text.generate(
        "x",
        duration=np.float32(0.2),
        seed=np.int64(7),
        temperature=np.float32(0.5),
        guidance=np.float64(2),
        top_k=np.int32(8),
        top_p=np.float32(0.75),
    )
    plain = text.generate(
        "x", duration=0.2, seed=7, temperature=0.5, guidance=2, top_k=8, top_p=0.75
    )
    assert read_recipe(take.save(tmp_path / "a.wav")) == plain.recipe


def test_a_request_does_not_touch_the_model(text: Model) -> None:
    before = text.generate("jazz", duration=0.3, seed=1).codes.sha256
    text.generate("rock", duration=0.3, temperature=0, guidance=9, top_k=1)
    assert text.generate("jazz", duration=0.3, seed=1).codes.sha256 == before


@pytest.mark.parametrize("duration", ["10", None, [1], 1j])
def test_a_duration_is_a_number(duration: object) -> None:
    with pytest.raises(OptionError, match="duration must be a number of seconds, not "):
        GenerateRequest("jazz", duration=duration)  # type: ignore[arg-type]


def test_a_request_can_be_varied() -> None:
    request = GenerateRequest("jazz", seed=1)
    assert replace(request, seed=2).sampling(64).seed == 2
    assert request.sampling(64).top_k == 64
    assert request.sampling(2048).top_k == 250
