import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cadenza
from cadenza import audio as sound
from cadenza.errors import ModelNotFound, RecipeError
from cadenza.model import Model
from cadenza.tags import Tags, read_tags
from cadenza.take import Take, read_recipe
from cadenza.types import Recipe
from tests.sounds import sine

FORMATS = list(sound.FORMATS)


@pytest.fixture(scope="module")
def model(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text)


@pytest.fixture(scope="module")
def take(model: Model) -> Take:
    return model.generate("jazz «piano» żółć 🎷", duration=0.5, seed=7, negative="slow drums")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_carries_its_recipe(take: Take, format: str, tmp_path: Path) -> None:
    path = take.save(tmp_path / f"a{sound.FORMATS[format].suffix}", format)
    assert read_recipe(path) == take.recipe
    tags = read_tags(path)
    assert tags.title == "jazz «piano» żółć 🎷"
    assert tags.software.startswith(f"Cadenza {take.recipe.package}")
    assert cadenza.verify(path).same


def test_the_recipe_beside_the_file(take: Take, model: Model, tmp_path: Path) -> None:
    take.save(tmp_path / "a.wav", recipe=True)
    beside = tmp_path / "a.json"
    assert json.loads(beside.read_text("utf-8"))["prompt"] == "jazz «piano» żółć 🎷"
    assert read_recipe(beside) == take.recipe
    assert cadenza.verify(beside, model=model).same


def test_the_recipe_names_everything(take: Take, tiny_text: Path) -> None:
    recipe = take.recipe
    assert recipe.model.name == str(tiny_text)
    assert len(recipe.model.sha256) == 64
    assert recipe.negative == "slow drums"
    assert (recipe.frames, recipe.backend, recipe.device, recipe.precision) == (
        25,
        "openvino",
        "cpu",
        "int8",
    )
    assert recipe.codes_sha256 == take.codes.sha256


def test_loudness_on_request_only(take: Take, tmp_path: Path) -> None:
    plain = sound.read(take.save(tmp_path / "a.wav", "wavfloat"))
    assert sound.loudness(plain) == pytest.approx(sound.loudness(take.audio), abs=0.01)
    quiet = sound.read(take.save(tmp_path / "b.wav", "wavfloat", loudness=-40))
    assert sound.loudness(quiet) == pytest.approx(-40, abs=0.1)


def test_a_changed_recipe_is_found_out(take: Take, model: Model, tmp_path: Path) -> None:
    forged = dataclasses.replace(take.recipe, codes_sha256="0" * 64)
    path = Take(take.audio, take.codes, forged).save(tmp_path / "a.wav")
    result = cadenza.verify(path, model=model)
    assert not result.same
    assert result.take.codes.sha256 == take.codes.sha256


def test_again_with_nothing_changed_is_the_same(take: Take, model: Model, tmp_path: Path) -> None:
    path = take.save(tmp_path / "a.flac")
    assert cadenza.again(path, model=model).recipe == take.recipe


def test_again_changes_what_it_is_told_to_and_nothing_else(
    take: Take, model: Model, tmp_path: Path
) -> None:
    path = take.save(tmp_path / "a.mp3")
    other = cadenza.again(path, model=model, prompt="rock guitar", duration=1.0)
    assert other.recipe == dataclasses.replace(
        take.recipe,
        prompt="rock guitar",
        text="rock guitar",
        frames=50,
        codes_sha256=other.codes.sha256,
    )


def test_the_enhanced_text_is_kept_word_for_word(model: Model, tmp_path: Path) -> None:
    """The rules may change from one version to the next; the recipe's text does not."""
    take = model.generate("sad robot", duration=0.3, seed=1)
    old_rules = dataclasses.replace(take.recipe, text="jazz piano")
    path = Take(take.audio, take.codes, old_rules).save(tmp_path / "a.wav")
    again = cadenza.again(path, model=model)
    assert (again.recipe.prompt, again.recipe.text) == ("sad robot", "jazz piano")
    anew = cadenza.again(path, model=model, enhance=True)
    assert anew.recipe.text == cadenza.enhance("sad robot")


def test_sounds_that_went_in_are_found_where_they_were_or_beside_the_file(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sound.write(sine(1.0), "start.wav")
    take = model.generate("jazz", duration=0.3, seed=1, beginning="start.wav")
    assert take.recipe.continued is not None and take.recipe.continued.path == "start.wav"
    take.save("a.wav")
    assert cadenza.verify("a.wav", model=model).same

    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("start.wav", "a.wav"):
        shutil.move(tmp_path / name, moved / name)
    assert cadenza.verify(moved / "a.wav", model=model).same

    sound.write(sine(1.0, hertz=300), moved / "start.wav")
    with pytest.raises(RecipeError, match="is not the sound"):
        cadenza.verify(moved / "a.wav", model=model)
    (moved / "start.wav").unlink()
    with pytest.raises(RecipeError, match=r"needs start\.wav, which is gone"):
        cadenza.verify(moved / "a.wav", model=model)


def test_a_melody_is_part_of_the_recipe(tiny_melody: Path, tmp_path: Path) -> None:
    tune = sound.write(sine(2.0), tmp_path / "tune.flac")
    take = cadenza.load(tiny_melody).generate("jazz", duration=0.3, melody=tune)
    path = take.save(tmp_path / "a.wav")
    assert read_recipe(path).melody == take.recipe.melody
    assert cadenza.verify(path).same


def test_going_on_from_a_take_that_was_never_a_file(
    take: Take, model: Model, tmp_path: Path
) -> None:
    path = model.extend(take, 0.3, seed=1).save(tmp_path / "a.wav")
    with pytest.raises(RecipeError, match="never a file"):
        cadenza.verify(path, model=model)


def test_other_weights_are_not_the_recipes(take: Take, tiny_stereo: Path, tmp_path: Path) -> None:
    path = take.save(tmp_path / "a.wav")
    with pytest.raises(RecipeError, match="made with other weights"):
        cadenza.verify(path, model=cadenza.load(tiny_stereo))
    # Starting from it with another model is what a person may want.
    assert cadenza.again(path, model=cadenza.load(tiny_stereo)).audio.channels == 2


def test_a_model_that_is_gone(take: Take, tmp_path: Path) -> None:
    gone = dataclasses.replace(take.recipe.model, name=str(tmp_path / "gone"))
    recipe = dataclasses.replace(take.recipe, model=gone)
    path = Take(take.audio, take.codes, recipe).save(tmp_path / "a.wav")
    with pytest.raises(ModelNotFound, match="gone"):
        cadenza.verify(path)


def test_files_without_a_recipe(tmp_path: Path) -> None:
    plain = sound.write(sine(), tmp_path / "plain.wav")
    foreign = sound.write(sine(), tmp_path / "foreign.mp3", tags=Tags(comment="made by hand"))
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound")
    numbers = tmp_path / "numbers.json"
    numbers.write_text("[1, 2]")
    for path, words in [
        (plain, "no recipe in its tags"),
        (foreign, "not a recipe of Cadenza"),
        (noise, "neither a sound nor a recipe"),
        (numbers, "not a recipe of Cadenza"),
        (tmp_path / "absent.wav", "does not exist"),
        (tmp_path, "neither a sound nor a recipe"),
    ]:
        with pytest.raises(RecipeError, match=words):
            read_recipe(path)


def test_a_recipe_of_the_future_says_upgrade(take: Take) -> None:
    future = dataclasses.asdict(take.recipe) | {"format": 99, "key": "new"}
    with pytest.raises(RecipeError, match="upgrade"):
        Recipe.from_json(json.dumps(future))


@pytest.mark.parametrize("nested", ["[" * 30_000, '{"a":' * 6_000, '{"model": ' + "[" * 30_000])
def test_a_recipe_that_is_nested_too_deep_is_refused(nested: str, tmp_path: Path) -> None:
    path = sound.write(sine(), tmp_path / "a.wav", tags=Tags(comment=nested))
    with pytest.raises(RecipeError, match="not a recipe"):
        read_recipe(path)


@pytest.mark.parametrize("field", ["prompt", "text", "negative"])
def test_half_a_character_is_no_text(take: Take, field: str) -> None:
    half = json.dumps(dataclasses.asdict(take.recipe) | {field: "jazz \ud83c"})
    with pytest.raises(RecipeError, match="not a recipe"):
        Recipe.from_json(half)
    whole = dataclasses.asdict(take.recipe) | {field: "jazz 🎷"}
    assert Recipe.from_json(json.dumps(whole)).to_json().encode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("melody", {"path": 5, "sha256": ""}),
        ("continued", {"path": "a.wav", "sha256": None}),
        ("frames", 10**400),
        ("frames", 0),
        ("frames", -5),
        ("model", {"name": "nano", "revision": None, "sha256": None, "licence": ""}),
    ],
)
def test_values_of_the_wrong_kind_are_no_recipe(take: Take, field: str, value: object) -> None:
    wrong = dataclasses.asdict(take.recipe) | {field: value}
    with pytest.raises(RecipeError, match="not a recipe"):
        Recipe.from_json(json.dumps(wrong))


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-that-name/x"])
def test_places_that_cannot_be_are_gone(take: Take, name: str, tmp_path: Path) -> None:
    fields = dataclasses.asdict(take.recipe) | {"melody": {"path": name, "sha256": "0"}}
    (tmp_path / "a.json").write_text(json.dumps(fields))
    with pytest.raises(RecipeError, match="which is gone"):
        cadenza.verify(tmp_path / "a.json")
    fields["model"]["adapters"] = [{"path": name, "sha256": "0", "weight": 1.0}]
    (tmp_path / "a.json").write_text(json.dumps(fields))
    with pytest.raises(RecipeError, match=r"needs the adapter .* which is gone"):
        cadenza.verify(tmp_path / "a.json")


@settings(deadline=None)  # a busy machine may pause anywhere
@given(
    st.sampled_from(["model", "frames", "sampling", "prompt", "negative"]),
    st.sampled_from([[], ["x"], {}, 1.5, float("nan"), True]),
)
def test_a_recipe_that_was_tampered_with_is_refused(take: Take, field: str, value: object) -> None:
    assume((field, value) != ("frames", True))  # Python's True is 1
    wrong = dataclasses.asdict(take.recipe) | {field: value}
    assume((field, value) != ("sampling", {}))  # all of it has defaults
    with pytest.raises(RecipeError, match="not a recipe"):
        Recipe.from_json(json.dumps(wrong))
    wrong = json.loads(take.recipe.to_json())
    wrong["model"]["name"] = value
    with pytest.raises(RecipeError, match="not a recipe"):
        Recipe.from_json(json.dumps(wrong))
