"""Pictures and summaries show what is in the sound, and only readable files become pictures."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from rich.console import Console

import cadenza
from cadenza.audio import loudness, write
from cadenza.errors import AudioError, MissingPackage, OptionError
from cadenza.show import Roll, Summary, View, look, page, piano_roll
from cadenza.show.view import (
    BANDS,
    COLUMNS,
    LOWEST_PITCH,
    RANGE,
    mel_spectrogram,
    pitch_spectrogram,
    pooled,
)
from cadenza.spectrum import band_power, mel_filters
from cadenza.types import PITCH_CLASSES, Audio, Note, Recipe
from tests.command import run
from tests.sounds import silence, sine


def steps() -> Audio:
    """Two seconds of A4, then two of C5, four times as loud."""
    quiet, loud = sine(2.0, hertz=440.0, peak=0.1), sine(2.0, hertz=523.25, peak=0.4)
    return Audio(np.concatenate([quiet.samples, loud.samples], axis=1), quiet.rate)


@pytest.fixture(scope="module")
def view() -> View:
    return look(steps(), "steps.wav")


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = cadenza.load("nano").generate("techno with drums, 125 bpm", duration=3, seed=4)
    return made.save(tmp_path_factory.mktemp("takes") / "techno.wav")


# What is seen


@given(frequency=st.floats(60, 15_000), peak=st.floats(0.01, 1.0))
def test_a_sine_has_its_power_in_its_band(frequency: float, peak: float) -> None:
    tone = sine(0.3, hertz=frequency, peak=peak).samples[0]
    hertz = np.fft.rfftfreq(2048, 1 / 32_000)[:, None]
    here = (np.abs(hertz - frequency) < 60).astype(np.float32)
    power = band_power(tone, 2048, 512, np.concatenate([here, 1 - here], axis=1))
    assert power.shape == (len(tone) // 512 + 1, 2)
    inside = power[3:-3]
    np.testing.assert_allclose(inside[:, 0], peak**2, rtol=0.02)
    assert (inside[:, 1] < 1e-3 * peak**2).all()


def test_mel_filters_are_those_of_transformers() -> None:
    from transformers.audio_utils import mel_filter_bank

    theirs = mel_filter_bank(1025, 80, 30.0, 16_000.0, 32_000, norm=None, mel_scale="htk")
    np.testing.assert_allclose(mel_filters(32_000, 2048, 80, 30.0, 16_000.0), theirs, atol=1e-4)


@pytest.mark.parametrize("length", [1, 7, COLUMNS, COLUMNS + 1, 10 * COLUMNS + 3])
def test_pooling_averages_into_even_columns(length: int) -> None:
    values = np.arange(length, dtype=np.float32)[None]
    small = pooled(values)
    assert small.shape == (1, min(length, COLUMNS))
    naive = [part.mean() for part in np.split(values[0], edges(length))]
    np.testing.assert_allclose(small[0], naive, rtol=1e-6)


def edges(length: int) -> list[int]:
    count = min(length, COLUMNS)
    return [column * length // count for column in range(1, count)]


def test_a_view_shows_what_sounds_when(view: View) -> None:
    first, second = slice(50, 550), slice(650, 1150)  # of 1200 columns
    assert view.envelope[1, first].max() == pytest.approx(0.1, rel=0.01)
    assert view.envelope[0, second].min() == pytest.approx(-0.4, rel=0.01)
    height = view.chroma.shape[1]
    for part, name in ((slice(2, height // 2 - 4), "A"), (slice(height // 2 + 4, -2), "C")):
        loudest = view.chroma[:, part].argmax(axis=0)
        assert {PITCH_CLASSES[pitch] for pitch in loudest} == {name}
    # The same tone four times as loud is 12 LU louder; C5 is not A4, but as near as a tenth.
    quiet, loud = view.momentary[2:14].mean(), view.momentary[24:34].mean()
    assert loud - quiet == pytest.approx(12.0, abs=0.3)
    assert view.loudness == loudness(steps())
    assert view.recipe is None


def test_spectrograms_peak_where_the_tone_is() -> None:
    mel = mel_spectrogram(sine(1.0, hertz=1000.0))
    assert mel.shape[0] == BANDS
    assert mel.max() == 0
    assert mel.min() >= -RANGE
    filters = mel_filters(32_000, 2048, BANDS, 30.0, 16_000.0)
    expected = filters[round(1000 / 32_000 * 2048)].argmax()
    assert set(mel[:, 10:-10].argmax(axis=0)) == {expected}
    for pitch in (33, 57, 69, 100):
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        keys = pitch_spectrogram(sine(2.0, hertz=hertz))
        middle = keys[:, keys.shape[1] // 2]
        assert middle.argmax() + LOWEST_PITCH == pitch


def test_eight_channels_and_192_khz_are_looked_at() -> None:
    wide = Audio(np.repeat(sine(0.5, rate=192_000).samples, 8, axis=0), 192_000)
    seen = look(wide, "wide.wav")
    assert (seen.rate, seen.channels) == (192_000, 8)
    assert np.isfinite(seen.loudness)
    assert page([seen])


def test_one_sample_is_looked_at() -> None:
    seen = look(Audio(np.full((1, 1), 0.5, np.float32), 32_000), "click.wav")
    assert page([seen]).startswith(b"\x89PNG")
    assert "click.wav" in drawn(seen)


@pytest.mark.parametrize(
    ("audio", "message"),
    [(Audio(np.zeros((1, 0), np.float32), 32_000), "is empty"), (silence(), "is silent")],
)
def test_nothing_is_not_looked_at(audio: Audio, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        look(audio, "nothing.wav")


# Pages


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(imread(io.BytesIO(png))[..., :3])


def test_a_page_is_drawn_and_two_stand_beside_each_other(view: View) -> None:
    one = pixels(page([view]))
    both = pixels(page([view, view]))
    assert one.shape[0] == both.shape[0]
    assert both.shape[1] == 1.5 * one.shape[1]
    left, right = np.split(both, 2, axis=1)
    assert 0.2 < (left < 0.99).any(axis=2).mean() < 0.98
    # The second column holds as much ink as the first, for it is the same sound.
    assert (left < 0.99).mean() == pytest.approx((right < 0.99).mean(), rel=0.05)
    assert page([view], ".svg").lstrip().startswith(b"<?xml")
    assert page([view], ".pdf").startswith(b"%PDF")
    with pytest.raises(OptionError, match="not a format of pictures"):
        page([view], ".gif")


def test_a_piano_roll_shows_every_note_where_it_is() -> None:
    note = Note(0.5, 1.5, 69)
    without, with_note = (
        pixels(piano_roll([Roll("a", sine(2.0), notes)]))
        for notes in ([Note(1.0, 1.01, 69)], [note])
    )
    changed = np.abs(with_note - without).max(axis=2) > 0.2
    columns = np.flatnonzero(changed[60:-60].any(axis=0)) / changed.shape[1]
    assert 0.2 < columns.min() < 0.35
    assert 0.7 < columns.max() < 0.8
    drums = [Note(0.1 * i, 0.1 * i + 0.05, pitch) for i, pitch in enumerate((36, 38, 42) * 3)]
    assert piano_roll([Roll("kit", sine(2.0), drums, drums=True), Roll("none", sine(2.0), [])])


def test_without_matplotlib_the_command_is_named(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackage, match=r"pip install 'cadenza\[show\]'"):
        page([view])


# The terminal


def drawn(view: View, width: int = 80, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        legacy_windows=False,
    )
    console.print(Summary(view))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_summary_fits_the_terminal(view: View, width: int) -> None:
    lines = drawn(view, width).splitlines()
    graph = [line for line in lines if set(line) & set("▁▂▃▄▅▆▇█░▒▓")]
    assert all(len(line) <= width for line in graph)
    waveform = graph[:4]
    # The second half is four times as loud.
    half = len(waveform[-1]) - (len(waveform[-1]) - 11) // 2
    assert "█" in waveform[0][half:]
    assert not set(waveform[0][11 : half - 1]) & set("▁▂▃▄▅▆▇█")


def test_in_colour_every_cell_is_coloured(view: View) -> None:
    text = drawn(view, colour=True)
    assert text.count("▀") == 8 * 69
    assert "\x1b[38;2;" in text


def test_the_recipe_is_shown(take: Path) -> None:
    result = run("show", str(take))
    assert result.code == 0, result.errors
    for word in ("techno.wav", "3.00 s", "mono", "LUFS", "techno with drums", "nano", "seed 4"):
        assert word in result.output


# The command


def test_the_command_draws_pictures(take: Path, tmp_path: Path) -> None:
    tone = write(sine(), tmp_path / "tone.mp3")
    picture = tmp_path / "page.png"
    assert run("show", str(take), "-o", str(picture)).code == 0
    one = pixels(picture.read_bytes())
    assert run("show", "--compare", str(take), str(tone), "-o", str(picture)).code == 0
    assert pixels(picture.read_bytes()).shape[1] > one.shape[1]
    result = run("show", "--compare", str(take), str(tone))
    assert "techno.wav" in result.output
    assert "tone.mp3" in result.output


def test_the_command_refuses_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(sine(), "tone.wav")
    soundfile.write("silent.wav", np.zeros(100), 32_000)
    soundfile.write("empty.wav", np.zeros(0), 32_000)
    soundfile.write("hour.flac", np.zeros(3600 * 1000), 1000)
    Path("text.wav").write_text("no sound")
    for arguments, message in (
        (["absent.wav"], "does not exist"),
        (["silent.wav"], "is silent"),
        (["empty.wav"], "is empty"),
        (["hour.flac"], "lasts 3600 s"),
        (["text.wav"], "cannot be read as sound"),
        (["tone.wav", "tone.wav"], "one sound is shown at a time, not 2"),
        (["tone.wav", "--compare"], "--compare shows two sounds, not 1"),
        (["tone.wav", "-o", "tone.jpeg"], "is not a picture"),
        (["tone.wav", "-o", "no/such.png"], "does not exist"),
    ):
        result = run("show", *arguments)
        assert result.code == 1
        assert message in result.errors
        assert result.errors.count("\n") == 1
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("prompt", ["trap beat, $$ money $$", r"$money$ and $\fame$", "雨の夜"])
def test_any_prompt_can_be_drawn(
    prompt: str, take: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    made = cadenza.load("nano").generate(prompt, duration=0.5, seed=1)
    path = made.save(tmp_path / "a$b_$_c.wav")
    result = run("show", str(path), "-o", str(tmp_path / "p.png"))
    assert result.code == 0, result.errors
    assert not [str(warning) for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_recipe_of_every_kind_has_its_lines(take: Path) -> None:
    from dataclasses import replace

    from cadenza.show.facts import recipe_rows
    from cadenza.take import read_recipe
    from cadenza.types import Source

    recipe: Recipe = read_recipe(take)
    rows = dict(recipe_rows(recipe))
    assert rows["prompt"] == "techno with drums, 125 bpm"
    long = replace(recipe, prompt="word " * 200, negative="drums", melody=Source("a.wav", ""))
    names = [name for name, _ in recipe_rows(long)]
    assert names[:4] == ["prompt", "", "", "negative"]
    assert names[-1] == "melody"
    assert recipe_rows(replace(recipe, prompt=None))[0] == ("prompt", "(none)")
    steering = replace(recipe, prompt="a\x1b[2Jb\x9b1mc", backend="\x1b]0;x\x07", negative="\x7f")
    assert not [char for _, value in recipe_rows(steering) for char in value if ord(char) < 32]
    assert recipe_rows(steering)[0] == ("prompt", "a\ufffd[2Jb\ufffd1mc")
    assert recipe_rows(None) == []
