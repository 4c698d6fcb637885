"""A session as a ``.zip``: written, worked on as it is, and refused where it may do harm."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cadenza import audio as sound
from cadenza.errors import SessionError
from cadenza.studio.band import plan
from cadenza.studio.finishing import mix_session
from cadenza.studio.folder import Folder
from cadenza.studio.packing import opened, pack
from cadenza.types import Audio
from tests.mutants import damaged
from tests.sounds import sine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A finished session of two tones."""
    session = plan("jazz, 160 bpm, F minor", ["piano", "bass"], bars=1, seed=1)
    place = Folder.begin(tmp_path_factory.mktemp("packing") / "a session", session)
    for number, track in enumerate(session.tracks):
        tone = sine(2.0, session.rate, 110 * 3**number, 0.4).samples[:, : session.grid.samples]
        sound.write(Audio(tone, session.rate), place.track(track.name), "wav24")
        session = session.with_track(replace(track, seed=number, report={"tries": 1}))
        place.midi(track.name).write_bytes(b"MThd")
    place.save(replace(session, finished=True))
    mix_session(place)
    return place


def test_a_session_is_packed_whole_and_nothing_else(folder: Folder) -> None:
    (folder.path / "private.txt").write_text("not part of it")
    (folder.path / "takes" / "private.txt").write_text("nor this")
    (folder.path / "takes" / ".cadenza-ab.part").write_text("left over")
    archive = pack(folder)
    with zipfile.ZipFile(archive) as packed:
        names = {Path(name).relative_to("a session").as_posix() for name in packed.namelist()}
        assert packed.testzip() is None
        for name in ("session.json", "mix.wav", "tracks/bass.wav", "midi/piano.mid"):
            assert packed.read(f"a session/{name}") == (folder.path / name).read_bytes()
    there = {p.relative_to(folder.path).as_posix() for p in folder.path.rglob("*") if p.is_file()}
    assert names == there - {"private.txt", "takes/private.txt", "takes/.cadenza-ab.part"}
    first = archive.read_bytes()
    with pytest.raises(SessionError, match="is there already"):
        pack(folder)
    assert pack(folder, force=True).read_bytes() == first
    folder.save(replace(folder.load(), finished=False))
    with pytest.raises(SessionError, match="is not finished"):
        pack(folder, force=True)
    folder.save(replace(folder.load(), finished=True))


@pytest.fixture
def archive(folder: Folder, tmp_path: Path) -> Path:
    return Path(shutil.move(pack(folder, force=True), tmp_path / "sent.zip"))


def rewritten(archive: Path, changes: dict[str, bytes]) -> bytes:
    """The archive as a person packs it again: with other or more files, in another order."""
    with zipfile.ZipFile(archive) as packed:
        files = {name: packed.read(name) for name in reversed(packed.namelist())} | changes
    write_zip(archive, files)
    return archive.read_bytes()


def write_zip(archive: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)


def test_a_zip_is_worked_on_and_packed_again(folder: Folder, archive: Path) -> None:
    first = archive.read_bytes()
    with opened(archive) as inside:
        assert inside.path.parent != archive.parent
        mix_session(inside)
    assert archive.read_bytes() == first  # the same settings, the same bits
    extra = {"a session/notes.txt": b"mine", "__MACOSX/a session/._session.json": b"\0", "b/": b""}
    rewritten(archive, extra)
    with opened(archive) as inside:
        assert not [place for place in inside.path.rglob("*") if place.suffix == ".txt"]
        inside.save(replace(inside.load(), guidance=4.5))
    with zipfile.ZipFile(archive) as packed, zipfile.ZipFile(io.BytesIO(first)) as before:
        assert set(packed.namelist()) == set(before.namelist()) | set(extra)
        assert all(packed.read(name) == content for name, content in extra.items())
        assert json.loads(packed.read("a session/session.json"))["guidance"] == 4.5
        assert packed.read("a session/mix.wav") == before.read("a session/mix.wav")
    assert os.listdir(archive.parent) == ["sent.zip"]


def test_a_zip_without_a_folder_in_it_is_a_session_too(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        files = {name.removeprefix("a session/"): packed.read(name) for name in packed.namelist()}
    write_zip(archive, files)
    with opened(archive) as inside:
        mix_session(inside)
    with zipfile.ZipFile(archive) as packed:
        assert set(packed.namelist()) == files.keys()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.wav", "leads out of it"),
        ("a session/../../evil.wav", "leads out of it"),
        ("a session/takes/..", "leads out of it"),
        ("/tmp/evil.wav", "leads out of it"),
        ("..\\evil.wav", "leads out of it"),
        ("C:\\evil.wav", "leads out of it"),
        ("other/session.json", "2 session.json"),
    ],
)
def test_a_zip_that_leads_out_of_itself_is_refused(archive: Path, name: str, words: str) -> None:
    content = rewritten(archive, {name: b"evil"})
    with pytest.raises(SessionError, match=re.escape(words)), opened(archive):
        pytest.fail("it was opened")
    assert archive.read_bytes() == content and os.listdir(archive.parent) == ["sent.zip"]


def test_names_that_no_session_has_are_not_unpacked(archive: Path) -> None:
    names = ("takes/.hidden.wav", "takes/x/y.wav", "takes/run.sh", "TRACKS/a.wav", "takes/ü.wav")
    rewritten(archive, {f"a session/{name}": b"x" for name in names})
    with opened(archive) as inside:
        there = {place.relative_to(inside.path).as_posix() for place in inside.path.rglob("*")}
    assert "takes" in there and not there & {*names, "TRACKS", "takes/x"}


def test_a_bomb_is_refused_before_it_is_unpacked(archive: Path, tmp_path: Path) -> None:
    """A hundred names for the same fifty megabytes of nothing, in a small file."""
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a session/takes/bass-0.wav", bytes(50_000_000))
        for number in range(1, 100):
            again = copy.copy(packed.filelist[-1])
            again.filename = f"a session/takes/bass-{number}.wav"
            packed.filelist.append(again)
    assert archive.stat().st_size < 10_000_000
    with pytest.raises(SessionError, match="MB unpacked, there is room for"), opened(archive):
        pytest.fail("it was opened")
    with zipfile.ZipFile(archive, "a") as packed:
        for number in range(6000):
            packed.writestr(f"{number}", b"")
    with pytest.raises(SessionError, match=r"files, 5000 at most"), opened(archive):
        pytest.fail("it was opened")


def test_a_zip_that_says_less_than_it_holds_is_not_believed(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a session/takes/bass-9.wav", bytes(5_000_000))
        packed.filelist[-1].file_size = 10
    with pytest.raises(SessionError, match="cannot be opened as a session"), opened(archive):
        pytest.fail("it was opened")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_methods_that_may_grow_without_bound_are_refused(archive: Path, method: int) -> None:
    with zipfile.ZipFile(archive, "a", method) as packed:
        packed.writestr("a session/takes/bass-9.wav", bytes(1000))
    with pytest.raises(SessionError, match="rare way"), opened(archive):
        pytest.fail("it was opened")


def test_a_zip_edited_into_nonsense_stays_as_it_is(archive: Path) -> None:
    name = "a session/session.json"
    content = rewritten(archive, {name: b'{"format": 1}'})
    with pytest.raises(SessionError, match="'tracks' is missing"), opened(archive) as inside:
        mix_session(inside)
    assert archive.read_bytes() == content
    for text in (b"", b"PK", b"no zip at all"):
        archive.write_bytes(text)
        with pytest.raises(SessionError, match="cannot be opened as a session"), opened(archive):
            pytest.fail("it was opened")
    assert archive.read_bytes() == b"no zip at all"


def test_damaged_zips_are_sessions_or_our_error(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:  # small, so that the damage meets the structure
        small = {name: packed.read(name) for name in packed.namelist() if not name.endswith(".wav")}
    place = archive.with_name("small.zip")
    write_zip(place, small)
    sound_content = place.read_bytes()
    outcomes = {"opened": 0, "refused": 0}
    for seed in range(200):
        chance = random.Random(seed)
        if seed % 2:
            content = damaged(sound_content, chance)
        else:  # one byte, as often as not in the directory, which stands at the end
            changed = bytearray(sound_content)
            changed[-chance.randrange(1, chance.choice([900, len(changed)]))] ^= 0xFF
            content = bytes(changed)
        place.write_bytes(content)
        try:
            with opened(place) as inside:
                inside.load()
            outcomes["opened"] += 1
        except SessionError:
            assert place.read_bytes() == content
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10


def test_what_is_wrong_inside_names_the_zip(archive: Path) -> None:
    rewritten(archive, {"a session/tracks/bass.wav": b"RIFF"})
    with pytest.raises(SessionError) as caught, opened(archive) as inside:
        mix_session(inside)
    assert f"{archive}/tracks/bass.wav" in str(caught.value) and "cadenza-" not in str(caught.value)
