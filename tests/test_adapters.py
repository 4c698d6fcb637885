"""Adapters: that they are peft's, join the weights on both back ends, and are found or refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import cadenza
from cadenza.checkpoints import load_parts, read_adapters, resolve
from cadenza.checkpoints.adapter import CONFIG, WEIGHTS
from cadenza.cli.options import weighted
from cadenza.errors import ModelDamaged, ModelMismatch, ModelNotFound, OptionError, RecipeError
from cadenza.finetune.lora import Lora
from cadenza.studio.band import plan, resume
from cadenza.studio.folder import Folder
from tests.checkpoints import tiny
from tests.command import run

ASKED: dict[str, Any] = {"duration": 0.4, "seed": 3}


def make(base: Path, folder: Path, seed: int, size: float = 0.3, rank: int = 3) -> Path:
    """An adapter for ``base`` with something in all of its matrices."""
    parts = load_parts(resolve(base), device="cpu", dtype=torch.float32)
    lora = Lora(parts.model, parts.identity, rank, seed)
    torch.manual_seed(seed)
    tensors = {name: size * torch.randn(weight.shape) for name, weight in lora.weights.items()}
    folder.mkdir()
    (folder / CONFIG).write_bytes(lora.config())
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(tensors, lora.header()))
    return folder


@pytest.fixture(scope="module")
def one(tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tiny_text, tmp_path_factory.mktemp("adapters") / "one", seed=1)


@pytest.fixture(scope="module")
def two(tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tiny_text, tmp_path_factory.mktemp("adapters") / "two", seed=2, rank=5)


def ids(base: Path, adapters: dict[Any, float], **options: Any) -> Any:
    model = cadenza.load(base, adapters=adapters, **{"backend": "torch", **options})
    return model.generate("jazz piano", **ASKED).codes.ids


def test_the_merged_weights_are_those_of_peft(
    tiny_text: Path, tiny_stereo: Path, one: Path, two: Path, tmp_path: Path
) -> None:
    import peft

    for base, folder in ((tiny_text, one), (tiny_stereo, make(tiny_stereo, tmp_path / "s", 1))):
        plain: Any = load_parts(resolve(base), device="cpu", dtype=torch.float32).model
        theirs = peft.PeftModel.from_pretrained(plain, folder).merge_and_unload()
        found = dataclasses.replace(resolve(base), adapters=read_adapters({folder: 1.0}))
        ours = load_parts(found, device="cpu", dtype=torch.float32).model
        merged = theirs.state_dict()
        assert set(merged) == set(ours.state_dict())
        for name, weight in ours.state_dict().items():
            torch.testing.assert_close(weight, merged[name], rtol=1e-6, atol=1e-6)

    plain = load_parts(resolve(tiny_text), device="cpu", dtype=torch.float32).model
    wrapped = peft.PeftModel.from_pretrained(plain, one, adapter_name="one")
    wrapped.load_adapter(two, adapter_name="two")
    wrapped.add_weighted_adapter(["one", "two"], [0.7, 0.4], "both", combination_type="cat")
    wrapped.set_adapter("both")
    theirs = wrapped.merge_and_unload().state_dict()
    both = dataclasses.replace(resolve(tiny_text), adapters=read_adapters({one: 0.7, two: 0.4}))
    ours = load_parts(both, device="cpu", dtype=torch.float32).model
    for name, weight in ours.state_dict().items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-5, atol=1e-5)


def test_every_product_of_the_decoder_is_changed_and_nothing_else(
    tiny_text: Path, one: Path
) -> None:
    plain = load_parts(resolve(tiny_text), device="cpu", dtype=torch.float32).model.state_dict()
    found = dataclasses.replace(resolve(tiny_text), adapters=read_adapters({one: 1.0}))
    adapted = load_parts(found, device="cpu", dtype=torch.float32).model.state_dict()
    changed = {name for name in plain if not torch.equal(plain[name], adapted[name])}
    layers = "decoder.model.decoder.layers."
    products = {n for n in plain if n.startswith(layers) and plain[n].ndim == 2}
    assert changed == products and len(changed) == 3 * 10


def test_both_back_ends_play_the_same(tiny_text: Path, one: Path, two: Path) -> None:
    for adapters in ({one: 1.0}, {one: 0.7, two: 0.5}):
        torch_ids = ids(tiny_text, adapters)
        on_openvino = {"backend": "openvino", "precision": "fp32"}
        for _ in range(2):  # converted, and read from the cache
            np.testing.assert_array_equal(ids(tiny_text, adapters, **on_openvino), torch_ids)
        assert not np.array_equal(torch_ids, ids(tiny_text, {}))


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_weights_count(tiny_text: Path, one: Path, backend: str) -> None:
    """In the cache of conversions, too: one weight is not taken for another."""
    options = {"backend": backend, "precision": "fp32"}
    made = [ids(tiny_text, adapters, **options) for adapters in ({}, {one: 0.0}, {one: 1.0})]
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_the_recipe_names_them_and_finds_them_again(
    tiny_text: Path, one: Path, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (one, two):
        shutil.copytree(folder, folder.name)
    model = cadenza.load(tiny_text, adapters={"one": 1.0, "two": 0.5}, backend="torch")
    take = model.generate("jazz", **ASKED)
    take.save("jazz.wav")
    assert [(a.path, a.weight) for a in take.recipe.model.adapters] == [("one", 1), ("two", 0.5)]
    assert cadenza.Recipe.from_json(take.recipe.to_json()) == take.recipe
    assert cadenza.verify("jazz.wav").same
    assert cadenza.again("jazz.wav", seed=4).recipe.model == take.recipe.model

    with pytest.raises(RecipeError, match="other adapters"):
        cadenza.verify("jazz.wav", model=cadenza.load(tiny_text, backend="torch"))
    Path("elsewhere").mkdir()
    for name in ("jazz.wav", "one", "two"):  # moved together
        shutil.move(name, "elsewhere")
    assert cadenza.verify("elsewhere/jazz.wav").same
    shutil.move("elsewhere/one", "one")
    shutil.rmtree("elsewhere/two")
    with pytest.raises(RecipeError, match=r"needs the adapter two \(SHA-256 .*is gone"):
        cadenza.verify("elsewhere/jazz.wav")
    shutil.copytree(one, "two")
    with pytest.raises(RecipeError, match="two is not the adapter"):
        cadenza.verify("elsewhere/jazz.wav")
    assert run("verify", "elsewhere/jazz.wav").errors.count("\n") == 1


def test_a_session_is_played_on_with_its_adapters(
    tiny_text: Path, one: Path, tmp_path: Path
) -> None:
    model = cadenza.load(tiny_text, adapters={one: 0.5}, backend="torch")
    session = plan("jazz", ["piano"], model=model.name, adapters=model.identity.adapters)
    folder = Folder.begin(tmp_path / "session", session)
    assert folder.load().adapters == session.adapters != ()
    with pytest.raises(OptionError, match=r"with other adapters: load it with .*one=0.5"):
        resume(cadenza.load(tiny_text, backend="torch"), folder.path)


def test_on_the_command_line(tmp_path: Path) -> None:
    assert weighted(["a", "b=0.5", "c=d", "e=f=2"]) == {"a": 1, "b": 0.5, "c=d": 1, "e=f": 2}
    with pytest.raises(OptionError, match="a is named twice"):
        weighted(["a", "a=0.5"])
    place = str(tmp_path / "x.wav")
    refused = run("--server", "http://127.0.0.1:9", "generate", "x", "--adapter", "a", "-o", place)
    assert refused.code == 1 and "leave --adapter out" in refused.errors
    refused = run("generate", "x", "--adapter", "nowhere", "-o", place)
    assert refused.code == 1 and "there is no adapter nowhere" in refused.errors


def test_another_model_is_refused_with_both_named(one: Path, tmp_path: Path) -> None:
    other = tiny("text", tmp_path / "other")
    weights = safetensors.torch.load_file(other / "model.safetensors")
    weights["enc_to_dec_proj.bias"] += 1
    safetensors.torch.save_file(weights, other / "model.safetensors", {"format": "pt"})
    for backend in ("torch", "openvino"):
        with pytest.raises(ModelMismatch, match=r"one was made for .*tiny-text.*not for .*other"):
            cadenza.load(other, adapters={one: 1.0}, backend=backend)


@pytest.mark.parametrize("weight", [-0.1, 2.1, float("nan"), float("inf")])
def test_weights_out_of_range(one: Path, weight: float) -> None:
    with pytest.raises(OptionError, match="from 0 to 2"):
        read_adapters({one: weight})


def test_what_is_no_adapter(one: Path, tiny_text: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no adapter"):
        read_adapters({tmp_path / "nowhere": 1.0})
    for name in ("~nobody-of-this-name/x", "x" * 5000, "a\0b"):
        with pytest.raises(ModelNotFound, match="cannot be opened"):
            read_adapters({name: 1.0})
    with pytest.raises(ModelDamaged, match="lacks adapter_config"):
        read_adapters({tmp_path: 1.0})

    def damaged(name: str, content: bytes) -> Path:
        folder = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(one, folder)
        (folder / name).write_bytes(content)
        return folder

    config = json.loads((one / CONFIG).read_bytes())
    weights = (one / WEIGHTS).read_bytes()
    tensors = safetensors.torch.load(weights)
    base = {"name": "x", "sha256": resolve(tiny_text).identity.sha256}
    header = {"base_model": json.dumps(base)}
    for content in (
        b"",
        b"[]",
        b"\xff",
        b"{}",
        *(
            json.dumps(config | change).encode()
            for change in ({"peft_type": "IA3"}, {"r": 0}, {"r": "3"}, {"use_dora": True})
        ),
    ):
        with pytest.raises(ModelDamaged):
            read_adapters({damaged(CONFIG, content): 1.0})
    for content in (b"", weights[:200], safetensors.torch.save(tensors)):
        with pytest.raises(ModelDamaged):
            read_adapters({damaged(WEIGHTS, content): 1.0})
    first, *others = sorted(tensors)
    for wrong in (
        {name: tensors[name] for name in others},  # half a pair
        tensors | {first: tensors[first][:, :-1].contiguous()},
        tensors | {first: tensors[first] * float("nan")},
        tensors | {"base_model.model.nothing.lora_A.weight": tensors[first]},
        tensors | {"stray": tensors[first]},
    ):
        copied = {name: tensor.clone() for name, tensor in wrong.items()}
        folder = damaged(WEIGHTS, safetensors.torch.save(copied, header))
        with pytest.raises(ModelDamaged):
            cadenza.load(tiny_text, adapters={folder: 1.0}, backend="torch")
