"""The codec whole, as a stream, and against transformers' own EnCodec."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import EncodecConfig, EncodecModel, PreTrainedModel

from cadenza.codec import Codec
from cadenza.errors import AudioError, ModelMismatch
from cadenza.framecodec import FrameCodecConfig, FrameCodecModel
from cadenza.types import Audio, Codes, IntArray

ROOT = Path(__file__).parents[1]
TOLERANCE = 1e-4


@torch.no_grad()
def encodec(**changes: object) -> EncodecModel:
    """The published 32 kHz codec's configuration, or a smaller one, with random weights."""
    settings: dict[str, object] = {
        "sampling_rate": 32000,
        "num_filters": 64,
        "upsampling_ratios": [8, 5, 4, 4],
        "codebook_size": 2048,
        "target_bandwidths": [2.2],
        "use_causal_conv": False,
        "use_conv_shortcut": False,
    }
    torch.manual_seed(5)
    model = EncodecModel(EncodecConfig(**(settings | changes))).eval()
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
    for name, weight in model.named_parameters():
        if name.endswith("original0"):
            weight.fill_(1.0)  # sound passes undamped, so that differences show
    return model


@torch.no_grad()
def frame_codec() -> FrameCodecModel:
    """The bundled model's codec, smaller, with random weights large enough to make sound."""
    torch.manual_seed(6)
    config = FrameCodecConfig(
        codebook_size=64, decoder_width=32, decoder_hidden=64, encoder_width=32, encoder_hidden=64
    )
    model = FrameCodecModel(config).eval()
    for weight in model.parameters():
        weight.normal_(std=0.3)
    return model


def random_ids(codec: Codec, frames: int, seed: int = 0) -> IntArray:
    shape = (codec.codebooks, frames)
    return np.random.default_rng(seed).integers(0, codec.codebook_size, shape)


def reference(model: PreTrainedModel, ids: IntArray, channels: int) -> np.ndarray:
    """What MusicgenForConditionalGeneration.generate does with the codes, [C, N]."""
    codes = torch.from_numpy(ids)[None, None]
    with torch.no_grad():
        sides = [
            model.decode(codes[:, :, side::channels], [None]).audio_values
            for side in range(channels)
        ]
    return torch.cat(sides, dim=1)[0].numpy()


def streamed(codec: Codec, ids: IntArray, sizes: list[int]) -> np.ndarray:
    stream, start, pieces = codec.stream(), 0, []
    while start < ids.shape[1]:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream.push(ids[:, start : start + size]).samples)
        start += size
    return np.concatenate([*pieces, stream.flush().samples], axis=1)


SMALL = {"num_filters": 8, "codebook_size": 64, "target_bandwidths": [1.2]}
MODELS = {
    "encodec": lambda: encodec(**SMALL),
    "encodec causal": lambda: encodec(**SMALL, use_causal_conv=True, use_conv_shortcut=True),
    "encodec deep": lambda: encodec(
        **SMALL, num_residual_layers=3, upsampling_ratios=[3, 2], sampling_rate=300
    ),
    "frame codec": frame_codec,
}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return MODELS[request.param]()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 61])
def test_whole_equals_transformers(model: PreTrainedModel, channels: int, frames: int) -> None:
    codec = Codec(model, channels)
    ids = random_ids(codec, frames)
    expected = reference(model, ids, channels)
    audio = codec.decode(Codes(ids, codec.frame_rate))
    assert audio.samples.shape == (channels, frames * codec.hop)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(audio.samples, expected, atol=TOLERANCE)


@pytest.mark.parametrize("sizes", [[1], [2], [3], [7, 1, 30], [200]])
def test_stream_equals_whole(model: PreTrainedModel, sizes: list[int]) -> None:
    codec = Codec(model, 2)
    ids = random_ids(codec, 67)
    np.testing.assert_allclose(
        streamed(codec, ids, sizes), reference(model, ids, 2), atol=TOLERANCE
    )


def test_published_shape() -> None:
    """Chunks of 1 to 200 frames on a random codec of exactly the published shape."""
    model = encodec()
    codec = Codec(model, 1)
    assert (codec.rate, codec.hop, codec.frame_rate, codec.codebooks) == (32000, 640, 50.0, 4)
    ids = random_ids(codec, 240)
    expected = reference(model, ids, 1)
    assert np.abs(expected).max() > 0.05
    for sizes in ([1, 2, 5, 13, 50, 3], [200]):
        np.testing.assert_allclose(streamed(codec, ids, sizes), expected, atol=TOLERANCE)


def test_sound_comes_as_early_as_it_can(model: PreTrainedModel) -> None:
    """What a stream holds back is what later codes could still change, and not a frame more
    than a few."""
    codec = Codec(model, 1)
    ids = random_ids(codec, 80)
    made = codec.stream().push(ids[:, :60]).samples
    other = np.concatenate([ids[:, :60], random_ids(codec, 20, seed=1)], axis=1)
    np.testing.assert_allclose(made, reference(model, other, 1)[:, : made.shape[1]], atol=TOLERANCE)
    assert made.shape[1] >= (60 - 30) * codec.hop


def test_long_decoding_goes_in_pieces() -> None:
    codec = Codec(encodec(**SMALL, upsampling_ratios=[2, 2], sampling_rate=200), 1)
    ids = random_ids(codec, 1203)
    decoded = codec.decode(Codes(ids, codec.frame_rate)).samples
    np.testing.assert_allclose(decoded, reference(codec.model, ids, 1), atol=TOLERANCE)


def test_stream_memory_does_not_grow() -> None:
    """Five minutes more, in a process of its own, take no more memory than the first minute."""
    program = """
import numpy as np, resource
from tests.test_codec import SMALL, encodec
from cadenza.codec import Codec
codec = Codec(encodec(**SMALL), 1)
stream, ids = codec.stream(), np.zeros((codec.codebooks, 100), np.int64)
for push in range(30):
    stream.push(ids)
early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for push in range(150):
    stream.push(ids)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early) / 1024)
"""
    grown = float(subprocess.check_output([sys.executable, "-c", program], cwd=ROOT))
    assert grown < 10  # MiB; the sound alone is 37 MiB, the activations of all frames gigabytes


@pytest.mark.parametrize("channels", [1, 2])
def test_encode_equals_transformers(model: PreTrainedModel, channels: int) -> None:
    codec = Codec(model, channels)
    samples = np.random.default_rng(2).normal(0, 0.3, (channels, 20 * codec.hop + 1))
    audio = Audio(samples.astype(np.float32), codec.rate)
    codes = codec.encode(audio)
    assert codes.ids.shape == (codec.codebooks, 21)
    assert codes.frame_rate == codec.frame_rate
    for side in range(channels):
        with torch.no_grad():
            heard = model.encode(torch.from_numpy(audio.samples[side])[None, None])
        np.testing.assert_array_equal(codes.ids[side::channels], heard.audio_codes[0, 0].numpy())


def test_no_frames_no_sound(model: PreTrainedModel) -> None:
    codec = Codec(model, 2)
    assert codec.decode(Codes(random_ids(codec, 0), codec.frame_rate)).samples.shape == (2, 0)
    stream = codec.stream()
    assert stream.push(random_ids(codec, 0)).samples.shape == (2, 0)


def test_foreign_codes_and_sounds_are_refused() -> None:
    codec = Codec(encodec(**SMALL), 1)
    with pytest.raises(AudioError, match="2 codebooks, the codec has 4"):
        codec.decode(Codes(np.zeros((2, 5), np.int64), 50))
    with pytest.raises(AudioError, match="from 0 to 63, not 0 to 64"):
        codec.decode(Codes(np.full((4, 5), [[0], [64], [0], [0]]), 50))
    with pytest.raises(AudioError, match="32000 Hz, the sound has 2 at 44100 Hz"):
        codec.encode(Audio(np.zeros((2, 100), np.float32), 44100))


def test_the_chunked_codec_is_refused() -> None:
    config = EncodecConfig(chunk_length_s=1.0, overlap=0.01, normalize=True, num_filters=4)
    with pytest.raises(ModelMismatch, match="encodec_32khz"):
        Codec(EncodecModel(config), 1)
