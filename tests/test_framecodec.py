"""The bundled codec: its transforms against known signals, its chunks against its whole."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import EncodecConfig, EncodecModel

from cadenza.framecodec import FrameCodecConfig, FrameCodecModel


@pytest.fixture(scope="module")
def codec() -> FrameCodecModel:
    torch.manual_seed(3)
    config = FrameCodecConfig(decoder_hidden=64, encoder_hidden=64, codebook_size=64)
    model = FrameCodecModel(config).eval()
    torch.nn.init.normal_(model.quantizer.codebooks)
    for weight in model.decoder.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return model


def test_speaks_the_language_of_encodec(codec: FrameCodecModel) -> None:
    theirs = EncodecModel(
        EncodecConfig(
            sampling_rate=32000,
            upsampling_ratios=[8, 5, 4, 4],
            num_filters=4,
            codebook_size=64,
            target_bandwidths=[1.2],
            use_causal_conv=False,
        )
    ).eval()
    sound = torch.randn(2, 1, 6400)
    with torch.no_grad():
        ours, published = codec.encode(sound), theirs.encode(sound)
        assert ours.audio_codes.shape == published.audio_codes.shape == (1, 2, 4, 10)
        decoded = codec.decode(ours.audio_codes, ours.audio_scales).audio_values
        assert decoded.shape == theirs.decode(published.audio_codes, [None]).audio_values.shape
    assert (codec.config.frame_rate, codec.config.num_quantizers) == (50, 4)


def test_codes_name_the_nearest_vector_of_what_is_left_over(codec: FrameCodecModel) -> None:
    latent = torch.randn(2, 5, codec.config.codebook_dim)
    codes = codec.quantizer.encode(latent).numpy()
    books = codec.quantizer.codebooks.detach().numpy().astype(np.float64)
    for row in range(2):
        for frame in range(5):
            left = latent[row, frame].numpy().astype(np.float64)
            for level, book in enumerate(books):
                nearest = int(np.argmin(((book - left) ** 2).sum(1)))
                assert codes[row, level, frame] == nearest
                left = left - book[nearest]


def test_inverse_stft_returns_the_signal_whose_stft_it_was_given(codec: FrameCodecModel) -> None:
    config, frames = codec.config, 40
    fft, hop = config.synthesis_fft, config.hop_length
    signal = np.random.default_rng(0).standard_normal(frames * hop)
    margin = (fft - hop) // 2
    padded = np.pad(signal, (margin, fft))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)
    spectra = [
        np.fft.rfft(padded[t * hop : t * hop + fft] * window, norm="ortho") for t in range(frames)
    ]
    ours = codec._overlap_add(torch.from_numpy(np.stack(spectra)).to(torch.complex64)[None])
    inside = slice(fft, -fft)  # the very edges see fewer windows than the signal had
    np.testing.assert_allclose(ours[0, inside].numpy(), signal[inside], atol=1e-4)


@pytest.mark.parametrize("hertz", [55.0, 440.0, 1760.0])
def test_the_encoder_sees_a_sine_where_it_is(codec: FrameCodecModel, hertz: float) -> None:
    config = codec.config
    sine = torch.sin(2 * torch.pi * hertz * torch.arange(32000) / 32000)[None]
    fine = codec.features(sine)[0, config.num_mel_bins :, 20:30].mean(-1)
    assert abs(int(fine.argmax()) - hertz * config.fine_fft / 32000) <= 1


@pytest.mark.parametrize("start,stop", [(0, 60), (50, 120), (90, 150)])
def test_a_frame_depends_on_no_more_than_its_context(
    codec: FrameCodecModel, start: int, stop: int
) -> None:
    codes = torch.randint(0, 64, (1, 1, 4, 150), generator=torch.Generator().manual_seed(1))
    whole = codec.decode(codes).audio_values
    piece = codec.decode(codes[..., start:stop]).audio_values
    hop, context = codec.config.hop_length, codec.context_frames
    first = 0 if start == 0 else context
    last = stop - start - (0 if stop == 150 else context)
    expected = whole[..., (start + first) * hop : (start + last) * hop]
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(piece[..., first * hop : last * hop], expected, atol=1e-5, rtol=0)


def test_survives_saving_and_loading(codec: FrameCodecModel, tmp_path) -> None:
    codec.save_pretrained(tmp_path)
    codes = torch.randint(0, 64, (1, 1, 4, 12))
    again = FrameCodecModel.from_pretrained(tmp_path).eval()
    assert torch.equal(codec.decode(codes).audio_values, again.decode(codes).audio_values)


ORDERS = (
    "import cadenza; from transformers import AutoConfig, AutoModel",
    "from transformers import AutoConfig, AutoModel; import cadenza",
    "import transformers; import cadenza; from transformers import AutoConfig, AutoModel",
    "import cadenza; from transformers import EncodecModel, AutoConfig, AutoModel",
    "import cadenza; from transformers import EncodecConfig, AutoConfig, AutoModel",
    "import cadenza.model; from transformers import AutoConfig, AutoModel",
    "import cadenza.framecodec; from transformers import AutoConfig, AutoModel",
)
# What takes long to import, knows neither package and so may come before both, is shared.
IN_EACH_ORDER = """
import os, sys
import scipy.optimize, torch._dynamo, torch.distributed.tensor
for imports in sys.argv[1:]:
    if os.fork() == 0:
        assert not {"cadenza", "transformers"} & set(sys.modules)
        exec(imports)
        config = AutoConfig.for_model("cadenza_frame_codec", decoder_blocks=1)
        print(imports, "->", type(AutoModel.from_config(config)).__name__)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


def test_transformers_knows_the_codec_whichever_is_imported_first() -> None:
    command = [sys.executable, "-c", IN_EACH_ORDER, *ORDERS]
    run = subprocess.run(command, capture_output=True, text=True)
    wanted = [f"{imports} -> FrameCodecModel" for imports in ORDERS]
    assert run.stdout.splitlines() == wanted, run.stderr
