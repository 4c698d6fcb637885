import io
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from cadenza import audio as sound
from cadenza.errors import AudioError, OptionError, OutputError, RecipeError
from cadenza.files import check_place, write_atomically
from cadenza.tags import Tags, read_tags
from cadenza.take import read_recipe
from cadenza.types import Audio
from tests.sounds import pitch, silence, sine

FORMATS = list(sound.FORMATS)
# Everything that a text may hold: accents, other scripts, quotes, an emoji, line breaks.
TEXT = '{"prompt": "żółć «тихо» 日本の琴 🎷 \\"loud\\"\n"}'


def suffix(format: str) -> str:
    return sound.FORMATS[format].suffix


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_again(format: str, channels: int, tmp_path: Path) -> None:
    tone = sine(2.0, channels=channels)
    path = sound.write(tone, tmp_path / f"a{suffix(format)}", format)
    back = sound.resample(sound.read(path), tone.rate)
    assert back.channels == channels
    assert back.duration == pytest.approx(tone.duration, abs=0.05)
    for channel in range(channels):
        assert pitch(back, channel) == pytest.approx(440 * 2**channel, abs=1)
    assert back.peak == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("format", "subtype", "error"),
    [("wav", "PCM_16", 2**-15), ("wav24", "PCM_24", 2**-23), ("wavfloat", "FLOAT", 0)],
)
def test_wav_keeps_the_bits_it_promises(
    format: str, subtype: str, error: float, tmp_path: Path
) -> None:
    tone = sine()
    path = sound.write(tone, tmp_path / "a.wav", format)
    assert soundfile.info(str(path)).subtype == subtype
    assert np.abs(sound.read(path).samples - tone.samples).max() <= error


@pytest.mark.parametrize("rate", [8_000, 11_025, 32_000, 44_100, 96_000])
@pytest.mark.parametrize("format", ["mp3", "opus", "ogg", "flac"])
def test_every_rate_fits_every_format(format: str, rate: int) -> None:
    tone = sine(1.0, rate)
    back, back_rate = soundfile.read(io.BytesIO(sound.encode(tone, format)))
    assert len(back) / back_rate == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("comment", [TEXT, TEXT * 400, "x"])
def test_tags_survive_every_format(format: str, comment: str, tmp_path: Path) -> None:
    tags = Tags(title='żółć 🎷 "x"', comment=comment, software="Cadenza 0.1")
    path = sound.write(sine(), tmp_path / f"a{suffix(format)}", format, tags)
    back = read_tags(path)
    assert (back.title, back.comment) == (tags.title, tags.comment)
    assert back.software.startswith("Cadenza 0.1")
    assert sound.read(path).duration == pytest.approx(1.0, abs=0.05)


def test_a_reader_of_another_make_sees_the_same_sound_and_tags(tmp_path: Path) -> None:
    tags = Tags("title", "a comment", "software")
    tone = sine()
    path = sound.write(tone, tmp_path / "a.wav", tags=tags)
    with wave.open(str(path)) as file:  # the standard library's own reader
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.abs(frames / 32768 - tone.samples[0]).max() < 2**-14
    with soundfile.SoundFile(str(path)) as file:
        assert (file.title, file.comment) == ("title", "a comment")


def test_tags_too_long_for_a_format_are_refused() -> None:
    with pytest.raises(OutputError, match="40000"):
        sound.encode(sine(), "opus", Tags(comment="ä" * 20_001))


def test_a_file_without_tags_has_none(tmp_path: Path) -> None:
    for format in FORMATS:
        path = sound.write(sine(), tmp_path / f"{format}{suffix(format)}", format)
        assert read_tags(path).comment == ""


@pytest.mark.parametrize("format", FORMATS)
def test_peaks_above_full_scale_are_brought_down_not_clipped(format: str, tmp_path: Path) -> None:
    tone = sine(peak=2.5)
    path = sound.write(tone, tmp_path / f"a{suffix(format)}", format)
    back = sound.read(path)
    loud = np.abs(back.samples)
    assert np.quantile(loud, 0.99) == pytest.approx(1.0, abs=0.05)
    # A sine spends 16 % of its time above 0.97; clipped at 2.5 times full scale, 75 %.
    assert (loud > 0.97).mean() < 0.2
    # Below full scale nothing changes.
    quiet = sound.read(sound.write(sine(peak=0.9), tmp_path / f"b{suffix(format)}", format))
    assert np.quantile(np.abs(quiet.samples), 0.99) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("lufs", [-30.0, -23.0, -14.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_is_what_was_asked_for(lufs: float, channels: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (channels, 96_000)).astype(np.float32)
    result = sound.normalise(Audio(noise, 32_000), lufs)
    meter = pyloudnorm.Meter(32_000)
    assert meter.integrated_loudness(result.samples.T) == pytest.approx(lufs, abs=0.1)


def test_loudness_of_the_standards_own_test_tone() -> None:
    """EBU Tech 3341, case 1: a stereo 1 kHz sine at -23 dBFS measures -23 LUFS."""
    tone = sine(5.0, 48_000, 1000.0, peak=10 ** (-23 / 20))
    stereo = sound.to_channels(tone, 2)
    assert sound.loudness(stereo) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("rate", [44_100, 48_000, 32_000])
def test_short_sounds_have_a_loudness(rate: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, (1, rate // 2)).astype(np.float32)
    for length in range(100, round(0.42 * rate), 97):
        assert -30 < sound.loudness(Audio(samples[:, :length], rate)) < -5


def test_loudness_never_costs_the_peak() -> None:
    assert sound.normalise(sine(peak=0.1), -1).peak <= 1
    assert sound.normalise(silence(), -14).peak == 0
    assert sound.normalise(sine(0.1), -20).peak < 0.5  # shorter than a block of the standard
    with pytest.raises(OptionError, match="loudness"):
        sound.normalise(sine(), 3)
    with pytest.raises(OptionError, match="loudness"):
        sound.normalise(sine(), float("nan"))


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000])
def test_resampling_keeps_pitch_length_and_level(rate: int) -> None:
    result = sound.resample(sine(1.0, 32_000, channels=2), rate)
    assert (result.rate, result.channels) == (rate, 2)
    assert result.duration == pytest.approx(1.0, abs=1e-3)
    assert pitch(result) == pytest.approx(440, abs=1)
    assert result.peak == pytest.approx(0.5, abs=0.02)


def test_channels() -> None:
    stereo = sine(channels=2)
    mono = sound.to_channels(stereo, 1)
    np.testing.assert_allclose(mono.samples[0], stereo.samples.mean(0), atol=1e-7)
    np.testing.assert_array_equal(sound.to_channels(mono, 2).samples, np.repeat(mono.samples, 2, 0))
    assert sound.to_channels(sine(channels=6), 2).channels == 2
    assert sound.to_channels(stereo, 2) is stereo


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=50))
def test_the_soft_limit_is_monotonic_bounded_and_silent_below_its_knee(values: list[float]) -> None:
    samples = np.array(sorted(values), np.float32)
    limited = sound.soft_limit(samples)
    assert np.abs(limited).max() <= 1
    assert (np.diff(limited) >= 0).all()
    inside = np.abs(samples) <= 0.9
    np.testing.assert_array_equal(limited[inside], samples[inside])


def test_a_streamed_wav_is_a_wav() -> None:
    chunks = [sine(0.5, channels=2), sine(0.3, channels=2)]
    stream = sound.wav_header(32_000, 2) + b"".join(map(sound.pcm16, chunks))
    samples, rate = soundfile.read(io.BytesIO(stream), dtype="float32")
    assert rate == 32_000
    expected = np.concatenate([chunk.samples for chunk in chunks], axis=1).T
    assert np.abs(samples - expected).max() < 1e-4


def test_a_long_file_is_written_in_one_piece(tmp_path: Path) -> None:
    quiet = silence(300)
    for format in ("ogg", "opus"):
        path = sound.write(quiet, tmp_path / f"a{suffix(format)}")
        assert sound.read(path).duration == pytest.approx(300, abs=0.1)


# ── What cannot be read ─────────────────────────────────────────────────────────────────────────


def test_unreadable_sounds_are_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.wav"
    text.write_text("this is not a sound")
    raw = tmp_path / "noise.raw"
    raw.write_bytes(b"\0" * 1000)
    nothing = tmp_path / "nothing.wav"
    nothing.touch()
    for path in (text, raw, nothing):
        with pytest.raises(AudioError, match=f"{path.name} cannot be read as sound"):
            sound.read(path)
    for path in (tmp_path / "absent.wav", tmp_path):
        with pytest.raises(AudioError, match="does not exist or is not a file"):
            sound.read(path)


def test_an_empty_a_damaged_and_an_endless_sound(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros((0, 1)), 32_000)
    with pytest.raises(AudioError, match="is empty"):
        sound.read(empty)
    damaged = tmp_path / "damaged.wav"
    for wrong in (np.nan, -np.inf, 1e30):
        soundfile.write(damaged, np.array([0.0, wrong, 0.0]), 32_000, subtype="FLOAT")
        with pytest.raises(AudioError, match="not numbers, or absurdly large"):
            sound.read(damaged)
    hour = tmp_path / "hour.flac"
    soundfile.write(hour, np.zeros(3600 * 1000, np.float32), 1000)
    with pytest.raises(AudioError, match="lasts 3600 s, at most 600 s"):
        sound.read(hour)
    wide = tmp_path / "wide.wav"
    soundfile.write(wide, np.zeros((10, 8), np.float32), 48_000)
    with pytest.raises(AudioError, match="8 channels at 48000 Hz"):
        sound.read(_longer(wide))


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = sound.write(sine(0.1), tmp_path / os.fsdecode(b"caf\xe9.wav"))
    with pytest.raises(AudioError, match="bytes in its name that are no text: rename it"):
        sound.read(path)
    with pytest.raises(RecipeError, match="bytes in its name that are no text: rename it"):
        read_recipe(path)


def _longer(path: Path) -> Path:
    """The same file, 590 s long by a hole that takes no room on the disk."""
    size = path.stat().st_size
    grown = 590 * 48_000 * 8 * 2
    with open(path, "r+b") as file:
        file.truncate(size + grown)
        file.seek(4)
        file.write((size + grown - 8).to_bytes(4, "little"))
        file.seek(40)
        file.write((size + grown - 44).to_bytes(4, "little"))
    return path


def test_silence_is_refused_where_it_makes_no_sense() -> None:
    with pytest.raises(AudioError, match="the melody is silent"):
        sound.check_audible(silence(), "the melody")
    with pytest.raises(AudioError, match="the melody is empty"):
        sound.check_audible(silence(0), "the melody")
    sound.check_audible(sine(peak=0.01), "the melody")


# ── What cannot be written ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "format", "words"),
    [
        ("a.xyz", None, "unknown format '.xyz'"),
        ("a", None, "no suffix"),
        ("a.wav", "m4a", "unknown format 'm4a'"),
        ("a.mp3", "wav24", "a.mp3 is not a name for the format wav24"),
    ],
)
def test_unknown_formats(name: str, format: str | None, words: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=words):
        sound.write(sine(), tmp_path / name, format)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    for path, words in [
        (tmp_path / "absent" / "a.wav", "absent does not exist"),
        (tmp_path / "folder.wav", "is a folder"),
        (Path("/dev/full"), "not an ordinary file"),
        (tmp_path / ("n" * 300 + ".wav"), "cannot write"),
    ]:
        with pytest.raises(OutputError, match=words):
            sound.write(sine(), path, "wav")


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Root may write anywhere: be nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def test_a_read_only_folder(unprivileged: None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with pytest.raises(OutputError, match=f"cannot write into {folder}: Permission denied"):
            check_place(folder / "a.wav")


FULL_DISK = """
import resource, sys
from cadenza.errors import OutputError
from cadenza.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_atomically(sys.argv[1], bytes(20_000))
except OutputError as error:
    print(error)
"""


def test_a_write_that_breaks_off_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert f"cannot write {path}: File too large" in done.stdout
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    target, link = tmp_path / "target.wav", tmp_path / "link.wav"
    target.touch()
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    umask = os.umask(0)
    os.umask(umask)
    assert write_atomically(tmp_path / "b.wav", b"").stat().st_mode & 0o777 == 0o666 & ~umask


def test_equal_sounds_are_equal_files_whenever_they_are_written() -> None:
    """libsndfile notes the second in which a float WAV was written."""
    first = sound.encode(sine(0.1), "wavfloat")
    time.sleep(1.1)
    assert sound.encode(sine(0.1), "wavfloat") == first
