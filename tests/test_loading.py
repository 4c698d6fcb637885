"""Loading: every family and layout, and every way in which a checkpoint can be wrong."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoTokenizer,
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenMelodyConfig,
    MusicgenMelodyDecoderConfig,
    MusicgenMelodyForConditionalGeneration,
    T5Config,
)

from cadenza.checkpoints import CATALOGUE, Parts, describe, load_parts, resolve
from cadenza.checkpoints.architecture import _stages
from cadenza.checkpoints.quiet import quiet
from cadenza.errors import ModelDamaged, ModelMismatch
from cadenza.framecodec import FrameCodecConfig, FrameCodecModel
from cadenza.text import TextConditioner

FAMILIES = {
    "tiny_text": ("text", 1),
    "tiny_melody": ("melody", 1),
    "tiny_stereo": ("text", 2),
    "tiny_stereo_melody": ("melody", 2),
}


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Parts:
    return load_parts(resolve(folder), device="cpu", dtype=dtype)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.float() for name, tensor in model.state_dict().items()}


@pytest.fixture
def copy(tiny_text: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_text, folder)
    return folder


@pytest.mark.parametrize("fixture", FAMILIES)
def test_every_family_is_transformers_own_model(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(fixture)
    family, channels = FAMILIES[fixture]
    parts = load(folder)
    cls = (
        MusicgenMelodyForConditionalGeneration
        if family == "melody"
        else MusicgenForConditionalGeneration
    )
    assert type(parts.model) is cls
    assert (parts.family, parts.channels) == (family, channels)
    assert parts.identity == resolve(folder).identity
    assert not parts.model.training
    theirs = weights(cls.from_pretrained(folder))
    ours = weights(parts.model)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, msg=name)

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ("jazz piano", "  110 bpm,  Slow & loud ", "Motörhead ♫"):
        assert parts.tokenizer(text).input_ids == tokenizer(text).input_ids


def test_half_precision_is_the_decoders_alone(tiny_text: Path) -> None:
    full, half = load(tiny_text), load(tiny_text, torch.bfloat16)
    for name, tensor in [*half.model.named_parameters(), *half.model.named_buffers()]:
        if tensor.is_floating_point():
            wanted = torch.bfloat16 if name.startswith("decoder.") else torch.float32
            assert tensor.dtype == wanted, name
    states = [
        TextConditioner(parts.model, parts.tokenizer).encode(["sad robot"])[0].cross
        for parts in (full, half)
    ]
    np.testing.assert_array_equal(*states)


def test_half_precision_files_load_in_full(tiny_text: Path, tmp_path: Path) -> None:
    """Published large checkpoints are stored in half precision; the dtype is ours to choose."""
    model = MusicgenForConditionalGeneration.from_pretrained(tiny_text, dtype=torch.float16)
    shutil.copytree(tiny_text, tmp_path / "half")
    model.save_pretrained(tmp_path / "half")
    parts = load(tmp_path / "half")
    assert {p.dtype for p in parts.model.parameters()} == {torch.float32}


def as_shards(folder: Path) -> None:
    model = MusicgenForConditionalGeneration.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="400KB")
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2


def as_pickle(folder: Path) -> None:
    tensors = {k: torch.from_numpy(v) for k, v in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")


def with_old_names(folder: Path) -> None:
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    assert any(name.endswith("weight_g") for name in old)
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})


def with_leftovers(folder: Path) -> None:
    """Tables that older versions of transformers stored, too."""
    tensors = load_file(folder / "model.safetensors")
    tensors["text_encoder.encoder.embed_tokens.weight"] = tensors["text_encoder.shared.weight"]
    tensors["decoder.model.decoder.embed_positions.weights"] = np.zeros((2048, 48), np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("change", [as_shards, as_pickle, with_old_names, with_leftovers])
def test_other_layouts_load_the_same_weights(
    change: Callable[[Path], None], copy: Path, tiny_text: Path
) -> None:
    change(copy)
    ours, theirs = weights(load(copy).model), weights(load(tiny_text).model)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, msg=name)


def test_the_frame_codec_takes_encodecs_place(tiny_text: Path, tmp_path: Path) -> None:
    """A checkpoint like the bundled one, whose codec is Cadenza's own."""
    model = MusicgenForConditionalGeneration.from_pretrained(tiny_text)
    torch.manual_seed(8)
    codec = FrameCodecModel(
        FrameCodecConfig(codebook_size=64, decoder_width=16, decoder_hidden=32, encoder_width=16)
    )
    folder = tmp_path / "own codec"
    MusicgenForConditionalGeneration(
        text_encoder=model.text_encoder, audio_encoder=codec, decoder=model.decoder
    ).save_pretrained(folder)
    for name in ("tokenizer.json", "preprocessor_config.json"):
        shutil.copy(tiny_text / name, folder / name)

    architecture = describe(folder)
    assert all(check.fault is None for check in architecture.checks)
    stage = architecture.stages[-1]
    assert stage.kind == "frame codec"
    assert stage.parameters == sum(parameter.numel() for parameter in codec.parameters())
    loaded = load(folder, torch.bfloat16).model
    assert type(loaded.audio_encoder) is FrameCodecModel
    for name, tensor in codec.state_dict().items():
        torch.testing.assert_close(loaded.audio_encoder.state_dict()[name], tensor, msg=name)


def test_the_identity_follows_the_weights_and_nothing_else(copy: Path, tiny_text: Path) -> None:
    first = resolve(tiny_text).identity.sha256
    (copy / "README.md").write_text("# Other words")
    assert resolve(copy).identity.sha256 == first
    change_tensor("enc_to_dec_proj.bias", lambda tensor: tensor + 1)(copy)
    assert resolve(copy).identity.sha256 != first
    as_shards(copy)
    sharded = resolve(copy).identity.sha256
    assert len(sharded) == 64 and sharded != first


def test_loading_says_nothing_and_leaves_logging_as_it_was(tiny_text: Path) -> None:
    """In a new process: transformers gives each of its warnings only once."""
    program = """
import sys, torch
from cadenza.checkpoints import load_parts, resolve
from transformers.utils import logging
before = logging.get_verbosity(), logging.is_progress_bar_enabled()
load_parts(resolve(sys.argv[1]), device="cpu", dtype=torch.float32)
assert before == (logging.get_verbosity(), logging.is_progress_bar_enabled())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_text)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def change_json(name: str, *path: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (folder / name).write_text(json.dumps(content))

    return change


def change_tensor(
    name: str, edit: Callable[[np.ndarray], np.ndarray | None]
) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        edited = edit(tensors.pop(name))
        if edited is not None:
            tensors[name] = edited
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def foreign_text_encoder(folder: Path) -> None:
    """T5-small (512) where T5-base (768) was trained: the error that people meet."""
    change_json("config.json", "text_encoder", "d_model", value=512)(folder)
    change_tensor("enc_to_dec_proj.weight", lambda t: np.zeros((len(t), 768), np.float32))(folder)


config = "config.json"
MISMATCHES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "text encoder": (
        foreign_text_encoder,
        ["width of the text encoder is 512", "input of the projection", "is 768"],
    ),
    "projection": (
        change_tensor("enc_to_dec_proj.weight", lambda t: np.zeros((64, 32), np.float32)),
        ["output of the projection", "is 64", "width of the decoder is 48"],
    ),
    "codebooks": (
        change_json(config, "decoder", "num_codebooks", value=8),
        ["codebooks of the decoder is 8", "codec for 1 channel(s) is 4"],
    ),
    "channels": (
        change_json(config, "decoder", "audio_channels", value=2),
        ["codebooks of the decoder is 4", "codec for 2 channel(s) is 8"],
    ),
    "vocabulary": (
        change_json(config, "decoder", "vocab_size", value=2048),
        ["vocabulary of the decoder is 2048", "codec's codebooks is 64"],
    ),
    "stereo codec": (
        change_json(config, "audio_encoder", "audio_channels", value=2),
        ["channels of the codec is 2", "is 1"],
    ),
    "frame rate": (
        change_json(config, "audio_encoder", "sampling_rate", value=31999),
        ["49.9984375", "50"],
    ),
    "sampling rate": (
        change_json("preprocessor_config.json", "sampling_rate", value=44100),
        ["processor is 44100", "codec is 32000"],
    ),
    "tokenizer": (
        change_json(config, "text_encoder", "vocab_size", value=100),
        ["tokenizer is 112", "text encoder has 100 words"],
    ),
    "shapes": (
        change_json(config, "decoder", "ffn_dim", value=128),
        ["fc1.weight is [96, 48] in the weights, [128, 48] by config.json"],
    ),
    "more layers": (
        change_json(config, "decoder", "num_hidden_layers", value=2),
        ["no place in the model", "decoder.model.decoder.layers.2."],
    ),
    "more blocks": (
        change_json(config, "text_encoder", "num_layers", value=1),
        ["no place in the model", "text_encoder.encoder.block.1."],
    ),
    "more codec": (
        change_json(config, "audio_encoder", "num_lstm_layers", value=1),
        ["no place in the model", "audio_encoder.decoder.layers.1.lstm.bias_hh_l1"],
    ),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_parts_that_do_not_fit_are_refused_with_both_numbers(case: str, copy: Path) -> None:
    change, expected = MISMATCHES[case]
    change(copy)
    with pytest.raises(ModelMismatch) as caught:
        load(copy)
    for words in (*expected, "do not fit each other", str(copy)):
        assert words in str(caught.value)
    assert [check for check in describe(copy).checks if check.fault is ModelMismatch]


def test_a_chroma_projection_of_another_width_is_refused(tiny_melody: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_melody, tmp_path / "copy")
    change_json(config, "num_chroma", value=24)(tmp_path / "copy")
    with pytest.raises(ModelMismatch, match="pitch classes is 24, the input of the projection"):
        load(tmp_path / "copy")


def truncate(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        os.truncate(folder / name, (folder / name).stat().st_size // 2)

    return change


def replace(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def truncated_pickle(folder: Path) -> None:
    as_pickle(folder)
    truncate("pytorch_model.bin")(folder)


def shard_lost_its_index(folder: Path) -> None:
    as_shards(folder)
    change_json("model.safetensors.index.json", "weight_map", value=[])(folder)


def index_of(weight_map: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        index = {"weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


def index_elsewhere(folder: Path) -> None:
    """The weights are whole, but in another folder, which nobody agreed to."""
    shutil.copy(folder / "model.safetensors", folder.parent / "elsewhere.safetensors")
    index_of({"a": str(folder.parent / "elsewhere.safetensors")})(folder)


def pickled(content: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        if isinstance(content, bytes):
            (folder / "pytorch_model.bin").write_bytes(content)
        else:
            torch.save(content, folder / "pytorch_model.bin")

    return change


def unreadable(folder: Path) -> None:
    """A file that opens and then cannot be read, as on a broken disk, whoever asks."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/proc/self/mem")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
DAMAGES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "truncated": (truncate("model.safetensors"), ["model.safetensors", "truncated"]),
    "empty": (replace("model.safetensors", b""), ["model.safetensors", "(0 bytes)"]),
    "foreign": (replace("model.safetensors", b"RIFF" * 999), ["model.safetensors", "no weights"]),
    "pointer": (replace("model.safetensors", POINTER), ["model.safetensors", "git lfs pull"]),
    "truncated pickle": (truncated_pickle, ["pytorch_model.bin", "truncated"]),
    "index": (shard_lost_its_index, ["model.safetensors.index.json", "weight_map"]),
    "missing tensor": (
        change_tensor("decoder.lm_heads.2.weight", lambda _: None),
        ["1 of 195 tensors", "decoder.lm_heads.2.weight"],
    ),
    "config": (truncate(config), [config, "cannot be read"]),
    "another model": (replace(config, b'{"model_type": "llama"}'), [config, "'llama'"]),
    "another file": (replace(config, b"[]"), [config, "JSON object"]),
    "nonsense": (
        change_json(config, "decoder", "hidden_size", value="wide"),
        [config, "cannot be understood"],
    ),
    "tokenizer": (truncate("tokenizer.json"), ["tokenizer.json", "truncated"]),
    "processor": (truncate("preprocessor_config.json"), ["preprocessor_config.json"]),
    "no extractor": (
        change_json("preprocessor_config.json", "feature_extractor", value=None),
        ["cannot be understood"],
    ),
    "generation": (replace("generation_config.json", b"[]"), ["cannot be understood"]),
    "heads": (
        change_json(config, "decoder", "num_attention_heads", value=7),
        ["cannot be understood", "7"],
    ),
    "no heads": (
        change_json(config, "decoder", "num_attention_heads", value=0),
        ["num_attention_heads of the decoder is 0"],
    ),
    "heads below none": (
        change_json(config, "text_encoder", "num_heads", value=-1),
        ["num_attention_heads of the text_encoder is -1"],
    ),
    "activation": (
        change_json(config, "decoder", "activation_function", value="foo"),
        ["cannot be understood", "foo"],
    ),
    "another codec": (
        change_json(config, "audio_encoder", value={"model_type": "dac"}),
        ["cannot be understood"],
    ),
    "another text encoder": (
        change_json(config, "text_encoder", value={"model_type": "llama"}),
        ["cannot be understood"],
    ),
    "no hop": (
        change_json(config, "audio_encoder", "upsampling_ratios", value=[8, 5, 4, 0]),
        ["cannot be understood"],
    ),
    "negative size": (
        change_json(config, "decoder", "hidden_size", value=-48),
        ["cannot be understood"],
    ),
    "index of numbers": (index_of({"a": 5}), ["index.json names 5"]),
    "index of lists": (index_of({"a": [1]}), ["index.json names [1]"]),
    "index of nothing": (index_of({"a": None}), ["index.json names None"]),
    "index elsewhere": (index_elsewhere, ["index.json names '/"]),
    "pickle keys": (pickled({5: torch.zeros(1)}), ["cannot be understood"]),
    "page": (pickled(b"<html>404</html>"), ["pytorch_model.bin (16 bytes)", "holds no weights"]),
    "pickle pointer": (pickled(POINTER), ["pytorch_model.bin", "git lfs pull"]),
    "unreadable": (unreadable, ["model.safetensors cannot be read"]),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_and_foreign_files_are_named(case: str, copy: Path) -> None:
    change, expected = DAMAGES[case]
    change(copy)
    with pytest.raises(ModelDamaged) as caught:
        load(copy)
    for words in (*expected, str(copy)):
        assert words in str(caught.value)


class Intruder:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    "write", [torch.save, lambda x, f: Path(f).write_bytes(pickle.dumps(x, 2))]
)
def test_a_pickle_that_would_run_code_stays_closed(
    write: Callable[[object, Path], None], copy: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    (copy / "model.safetensors").unlink()
    write({"x": Intruder(mark)}, copy / "pytorch_model.bin")
    with pytest.raises(ModelDamaged, match=r"pytorch_model\.bin"):
        load(copy)
    assert not mark.exists()


@pytest.mark.parametrize("fixture", FAMILIES)
def test_the_description_is_that_of_the_loaded_model(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(fixture)
    architecture = describe(folder)
    assert (architecture.family, architecture.channels) == FAMILIES[fixture]
    assert all(check.fault is None for check in architecture.checks)
    model: Any = load(folder).model
    stages = {stage.name: stage for stage in architecture.stages}
    order = ["text encoder", "projection", "melody projection", "decoder", "codec"]
    if architecture.family == "text":
        order.remove("melody projection")
    assert list(stages) == order

    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert stages["text encoder"].parameters == count(model.text_encoder)
    assert stages["projection"].parameters == count(model.enc_to_dec_proj)
    assert stages["decoder"].parameters == count(model.decoder)
    codebooks = sum(layer.codebook.embed.numel() for layer in model.audio_encoder.quantizer.layers)
    assert stages["codec"].parameters == count(model.audio_encoder) + codebooks
    assert stages["projection"].dimensions == {"in": 32, "out": 48}
    assert stages["codec"].dimensions["frame rate"] == 50
    assert architecture.parameters == sum(stage.parameters for stage in architecture.stages)


SHAPES = {
    "small": (24, 1024, 4096, 16),
    "medium": (48, 1536, 6144, 24),
    "large": (48, 2048, 8192, 32),
}


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "nano"])
def test_the_catalogue_has_the_sizes_of_the_published_shapes(name: str) -> None:
    entry = CATALOGUE[name]
    size = next((size for size in SHAPES if size in name), "medium")
    layers, hidden, ffn, heads = SHAPES[size]
    melody = entry.family == "melody"
    decoder = dict(
        num_hidden_layers=layers,
        hidden_size=hidden,
        ffn_dim=ffn,
        num_attention_heads=heads,
        num_codebooks=4 * entry.channels,
        audio_channels=entry.channels,
    )
    text = T5Config(d_model=768, d_ff=3072, num_layers=12, num_heads=12)
    audio = EncodecConfig(
        sampling_rate=32000,
        num_filters=64,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048,
        target_bandwidths=[2.2],
        use_causal_conv=False,
        use_conv_shortcut=False,
    )
    with quiet(), torch.device("meta"):
        if melody:
            part: Any = MusicgenMelodyDecoderConfig(**decoder)
            whole: Any = MusicgenMelodyConfig(text_encoder=text, audio_encoder=audio, decoder=part)
            model: Any = MusicgenMelodyForConditionalGeneration(whole)
        else:
            part = MusicgenDecoderConfig(**decoder)
            whole = MusicgenConfig(text_encoder=text, audio_encoder=audio, decoder=part)
            model = MusicgenForConditionalGeneration(whole)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    counted = sum(stage.parameters for stage in _stages(whole, shapes))
    assert abs(counted / 1e6 - entry.megaparameters) <= 1
