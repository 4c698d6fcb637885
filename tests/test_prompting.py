import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadenza import prompting
from cadenza.errors import OptionError, PromptError
from cadenza.prompting import MAX_CHARACTERS, enhance, explain, presets, with_tempo

DATA = tomllib.loads(Path(prompting.__file__).with_name("prompting.toml").read_text("utf-8"))
WORDS = [word for rule in DATA["rule"] for word in rule["words"]]
FACETS = ["mood", "genre", "instruments", "tempo", "key", "production"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sad robot", ["melancholic", "electronic", "synth", "72 bpm", "minor"]),
        (
            "birthday party for a cat",
            ["cheerful", "pop", "ukulele", "pizzicato", "124 bpm", "major"],
        ),
        ("80s car chase", ["tense", "synthwave", "gated", "150 bpm", "minor", "80s production"]),
        ("rain on a window", ["wistful", "ambient", "felt piano", "72 bpm", "minor", "reverb"]),
        ("haunted house", ["eerie", "strings", "minor"]),
        ("Sunny Day at the BEACH!", ["joyful", "ukulele", "major"]),
    ],
)
def test_bare_words_become_a_description(text: str, expected: list[str]) -> None:
    description = enhance(text)
    assert description.startswith(text.rstrip("!"))
    for words in expected:
        assert words in description


def test_what_the_text_names_is_kept_and_not_said_twice() -> None:
    text = "upbeat funk with slap bass and drums, 110 bpm"
    description = enhance(text)
    assert description.startswith(text)
    assert description.count("bpm") == 1
    added = description.removeprefix(text)
    assert "guitar" not in added and "groovy" not in added
    assert "minor" in added and "production" in added
    assert "major" not in enhance("piano in F# minor").removeprefix("piano in F# minor")
    assert enhance("techno, bpm: 130").count("bpm") == 1


def test_drums_only_stays_drums_only() -> None:
    added = enhance("drums only").removeprefix("drums only")
    assert not any(word in added for word in ("piano", "strings", "minor", "major", "guitar"))


def test_feelings_decide_how_and_genres_decide_what() -> None:
    description = enhance("sad birthday party")
    assert "melancholic" in description and "minor" in description and "72 bpm" in description
    assert "ukulele" in description
    assert "70 bpm" in enhance("slow techno") and "kick" in enhance("slow techno")


def test_a_longer_word_hides_the_shorter_one_in_it() -> None:
    assert explain("haunted house").reasons[0].words == ("haunted house",)
    assert "club" not in enhance("haunted house")
    assert "four-on-the-floor" in enhance("deep house")


@pytest.mark.parametrize("other", ["", "cat", "80s", "slow", "jazz"])
def test_enhancing_twice_is_enhancing_once(other: str) -> None:
    for word in WORDS:
        once = enhance(f"{word} {other}")
        assert enhance(once) == once, word


@given(st.text(min_size=1, max_size=200).filter(str.strip))
def test_any_text_is_described_completely_and_the_same_every_time(text: str) -> None:
    explanation = explain(text)
    named = set(explanation.found) | {facet for r in explanation.reasons for facet in r.gave}
    assert named == set(FACETS)
    assert explanation == explain(text)
    assert text.strip().rstrip(".,;:!") in explanation.description


def test_the_reasons_say_which_words_gave_what() -> None:
    explanation = explain("sad robot")
    reasons = {reason.rule: reason for reason in explanation.reasons}
    assert reasons["sadness"].words == ("sad",)
    assert reasons["sadness"].gave["tempo"] == "72 bpm"
    assert "vocoder-like synth lead" in reasons["machine"].gave["instruments"]
    assert explain("qwerty").reasons[0].rule == "default"


@pytest.mark.parametrize("rule", DATA["rule"], ids=lambda rule: rule["name"])
def test_the_data_is_sound(rule: dict[str, object]) -> None:
    assert set(rule) <= {
        "name", "names", "words", "mood", "genre", "instruments", "bpm", "mode", "production",
    }  # fmt: skip
    assert rule.get("mode", "major") in ("major", "minor")
    assert 40 <= int(str(rule.get("bpm", 100))) <= 200
    assert all(word == word.lower() for word in rule["words"])  # type: ignore[attr-defined]
    assert rule.get("names", "genre") in FACETS


def test_rule_names_are_unique_and_presets_are_prompts() -> None:
    names = [rule["name"] for rule in DATA["rule"]]
    assert len(set(names)) == len(names)
    assert len(presets()) >= 12
    for text in presets().values():
        assert enhance(text).startswith(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("a" * 100_000, f"100000 characters, at most {MAX_CHARACTERS}"),
    ],
)
def test_texts_that_cannot_be_prompts(text: str, words: str) -> None:
    with pytest.raises(PromptError, match=words):
        enhance(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jazz piano", "jazz piano, 90 bpm"),
        ("jazz piano.", "jazz piano, 90 bpm"),
        ("techno, 130 bpm, dark", "techno, 90 bpm, dark"),
        ("BPM: 130 techno", "90 bpm techno"),
        ("a waltz at 120 beats per minute", "a waltz at 90 bpm"),
        ("8 beats of funk", "8 beats of funk, 90 bpm"),
        ("80-90 bpm, dusty", "90 bpm, dusty"),
        ("house, tempo: 124", "house, 90 bpm"),
        ("trap with 808 beats", "trap with 808 beats, 90 bpm"),
    ],
)
def test_a_tempo_takes_the_place_of_the_one_that_is_named(text: str, expected: str) -> None:
    assert with_tempo(text, 90) == expected
    assert with_tempo(expected, 90) == expected


@pytest.mark.parametrize("bpm", [-1, 19, 401])
def test_a_tempo_that_no_music_has_is_refused(bpm: int) -> None:
    with pytest.raises(OptionError, match=f"not {bpm}"):
        with_tempo("jazz", bpm)
