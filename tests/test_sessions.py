"""A session can be made again from what it says of itself, wherever it lies."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import cadenza
from cadenza.errors import RecipeError, SessionError
from cadenza.model import Model
from cadenza.sessions import session_around, verify_session
from cadenza.studio.band import band, plan
from cadenza.studio.finishing import remix
from cadenza.studio.folder import Folder
from cadenza.studio.packing import pack
from cadenza.studio.settings import Strip

TRACKS = ["piano", "bass"]


@pytest.fixture(scope="module")
def tiny(tiny_text: Path) -> Model:
    return cadenza.load(tiny_text, backend="torch")


@pytest.fixture(scope="module")
def made(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished session whose tracks heard a count-in; no test may change it."""
    folder = tmp_path_factory.mktemp("sessions") / "made"
    band(tiny, "110 bpm, F minor", TRACKS, folder, how="layered", bars=1, seed=7, retries=0)
    return folder


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Iterator[Path]:
    """The same session in another place, while the first is gone from its own."""
    place = tmp_path / "moved"
    shutil.copytree(made, place)
    hidden = made.with_name("hidden")
    made.rename(hidden)
    yield place
    hidden.rename(made)


def digests(folder: Path) -> dict[Path, str]:
    files = [place for place in folder.rglob("*") if place.is_file()]
    return {place: hashlib.sha256(place.read_bytes()).hexdigest() for place in files}


def spoil(place: Path) -> None:
    """Change a single sample by the least that there is."""
    info = soundfile.info(place)
    samples, rate = soundfile.read(place, dtype="int32")
    samples.reshape(-1)[100] ^= 1 << 8  # the last bit of 24
    soundfile.write(place, samples, rate, subtype=info.subtype)


def test_a_session_is_made_again_bit_for_bit_from_wherever_it_lies(
    tiny: Model, moved: Path
) -> None:
    before = digests(moved)
    steps = []
    found = verify_session(
        moved, model=tiny, progress=lambda done, total: steps.append(done / total)
    )
    assert found.same and set(found.takes) == set(found.stems) == set(TRACKS)
    assert steps == sorted(steps) and steps[-1] == 1
    assert digests(moved) == before


def test_without_a_model_the_recipes_name_it(made: Path) -> None:
    assert verify_session(made, offline=True).same


def test_a_mixer_that_was_moved_is_part_of_it(tiny: Model, moved: Path) -> None:
    remix(Folder.open(moved), {"bass": Strip(gain=-3.5, pan=0.4)})
    assert verify_session(moved, model=tiny).same


def test_what_was_changed_is_named_and_nothing_else(tiny: Model, moved: Path) -> None:
    spoil(moved / "mix.wav")
    assert verify_session(moved, model=tiny).different == ("the mix",)
    spoil(moved / "tracks" / "bass.wav")
    (moved / "stems" / "piano.wav").unlink()
    assert verify_session(moved, model=tiny).different == (
        "the track bass",
        "the stem piano",
        "the mix",
    )


def test_another_take_under_the_old_name_is_found_out(tiny: Model, moved: Path) -> None:
    session = Folder.open(moved).load()
    takes = [Folder.open(moved).take(track.name, track.seed or 0) for track in session.tracks]
    shutil.copyfile(takes[0], takes[1])
    found = verify_session(moved, model=tiny)
    assert found.takes == {"piano": True, "bass": True}  # the file is one that its recipe makes
    assert not found.tracks["bass"] and not found.mix


def test_a_zip_is_read_and_stays_as_it_was(tiny: Model, moved: Path) -> None:
    archive = pack(Folder.open(moved))
    before = archive.read_bytes()
    assert verify_session(archive, model=tiny).same
    assert archive.read_bytes() == before


def test_what_belongs_to_a_session(made: Path, tmp_path: Path) -> None:
    assert session_around(made) == made
    for part in ("mix.wav", "tracks/bass.wav", "stems/piano.wav"):
        assert session_around(made / part) == made
    [take] = (made / "takes").glob("bass-*.wav")
    for alone in (take, made / "midi" / "bass.mid", tmp_path, tmp_path / "mix.wav"):
        assert session_around(alone) is None


def test_what_cannot_be_made_again_says_why(tiny: Model, moved: Path, tmp_path: Path) -> None:
    begun = Folder.begin(tmp_path / "begun", plan("sad", ["piano"], model=tiny.name))
    with pytest.raises(SessionError, match="is not finished: go on with cadenza resume"):
        verify_session(begun.path, model=tiny)
    (moved / "takes" / "count-in.wav").unlink()
    with pytest.raises(RecipeError, match=r"needs .*count-in\.wav, which is gone"):
        verify_session(moved, model=tiny)
    soundfile.write(moved / "takes" / "count-in.wav", np.ones(4000, np.float32) * 0.1, 32_000)
    with pytest.raises(RecipeError, match="is not the sound that the recipe was made with"):
        verify_session(moved, model=tiny)
    [take] = (moved / "takes").glob("piano-*.wav")
    take.unlink()
    with pytest.raises(RecipeError, match="does not exist"):
        verify_session(moved, model=tiny)
