"""The corpus: pieces hold what they say, sound as they are written, and captions do not lie."""

from __future__ import annotations

import collections
import itertools
import re

import numpy as np
import pytest

from cadenza.errors import MissingPackage, OptionError
from cadenza.types import Note
from tests import renders
from training.corpus import store
from training.corpus.accompaniment import COMPING
from training.corpus.bass import PATTERNS
from training.corpus.captions import caption, caption_samples
from training.corpus.compose import compose
from training.corpus.drums import GROOVES
from training.corpus.genres import GENRES, SOLOS
from training.corpus.harmony import SCALES, harmony
from training.corpus.instruments import INSTRUMENTS, KITS
from training.corpus.piece import CROSSED, HELD_OUT, PITCH_NAMES, Chord, Piece, Section, Track
from training.corpus.render import PRODUCTIONS, Renderer
from training.corpus.score import Event, perform
from training.corpus.words import (
    GENRE_WORDS,
    GROOVE_WORDS,
    INSTRUMENT_WORDS,
    PRODUCTION_WORDS,
    SCENES,
    TEMPO_WORDS,
)

SEEDS = range(HELD_OUT, HELD_OUT + 300)


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return [compose(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return renders.renderer()


def chord_at(piece: Piece, second: float) -> Chord:
    return next(chord for chord in reversed(piece.chords) if chord.start <= second + 0.06)


def test_the_tables_name_only_what_there_is() -> None:
    for name, genre in GENRES.items():
        steps = genre.meter * 4
        assert name in GENRE_WORDS
        assert set(genre.productions) <= set(PRODUCTIONS)
        assert set(genre.leads) | set(genre.bass) <= set(INSTRUMENTS)
        assert set(genre.kits) <= set(KITS)
        for groove in genre.grooves:
            assert all(len(line) % steps == 0 for line in GROOVES[groove].values()), groove
        for style in genre.bass_styles:
            assert style == "walking" or any(len(p) == steps for p in PATTERNS[style])
        for part in genre.parts:
            assert set(part.instruments) <= set(INSTRUMENTS)
            assert any(len(p) == steps for style in part.styles for p in COMPING[style].patterns)
        for mode in ("major", "minor"):
            assert genre.moods[mode]
            for progression in genre.progressions[mode]:
                for numeral in progression.replace(",", " ").split():
                    assert harmony(numeral, 0, mode).intervals
    for solo in SOLOS:
        assert set(solo.genres) <= set(GENRES)
        assert solo.instruments in (("drums",), ("bass",)) or set(solo.instruments) <= set(
            INSTRUMENTS
        )
    assert set(INSTRUMENT_WORDS) == set(INSTRUMENTS) | set(KITS)
    assert set(PRODUCTION_WORDS) == set(PRODUCTIONS)
    assert set(GROOVE_WORDS) | set(SCENES) <= set(GENRES)


def test_a_numeral_is_the_chord_that_textbooks_name() -> None:
    assert harmony("V7", 0, "major").pitch_classes == (7, 11, 2, 5)  # G B D F
    assert harmony("VI", 9, "minor").pitch_classes == (5, 9, 0)  # F in A minor
    dominant = harmony("V", 9, "minor")
    assert dominant.pitch_classes == (4, 8, 11)
    assert 8 in dominant.scale and 7 not in dominant.scale  # the leading note replaces G
    with pytest.raises(ValueError, match="IIX"):
        harmony("IIX", 0, "major")


def test_a_seed_is_a_piece(pieces: list[Piece]) -> None:
    assert compose(SEEDS[3]) == pieces[3]
    assert compose(SEEDS[4]) != pieces[3]
    assert Piece.from_json(pieces[3].to_json()) == pieces[3]
    bare = Piece.from_json(pieces[3].to_json(notes=False))
    assert bare == pieces[3].without_notes() and bare.instruments == pieces[3].instruments


def test_crossed_bands_are_led_by_instruments_of_other_genres() -> None:
    crossed = [compose(seed, 8.0) for seed in range(CROSSED, CROSSED + 80)]
    foreign = 0
    for piece in crossed:
        genre = GENRES[piece.genre]
        lead = next(track for track in piece.tracks if track.role == "melody")
        own = {*genre.leads, *(name for part in genre.parts for name in part.instruments)}
        foreign += lead.instrument not in own
        assert not piece.solo and lead.instrument in INSTRUMENTS
    assert foreign > 50
    drums = [piece.has_drums for piece in crossed if GENRES[piece.genre].grooves]
    assert 0.3 < np.mean(drums) < 0.8


def test_the_facts_are_in_their_ranges(pieces: list[Piece]) -> None:
    for piece in pieces:
        assert 60 <= piece.tempo <= 180 and 0 <= piece.tonic < 12
        assert piece.mode in ("major", "minor") and piece.meter in (3, 4)
        assert 0.5 <= piece.swing <= 0.67 and piece.moods
        assert piece.has_drums == any(track.is_drum for track in piece.tracks)
        if piece.solo:
            assert len({track.instrument for track in piece.tracks}) == 1
        else:
            assert len(piece.tracks) >= 2
        for parts in (piece.sections, piece.chords):  # they cover the piece without gaps
            assert parts[0].start == 0 and parts[-1].end == piece.duration
            for before, after in itertools.pairwise(parts):
                assert before.end == pytest.approx(after.start)


def test_notes_are_playable(pieces: list[Piece]) -> None:
    for piece in pieces:
        for track in piece.tracks:
            assert track.notes, (piece.seed, track.role)
            for note in track.notes:
                assert 0 <= note.start < note.end <= piece.duration and 1 <= note.velocity <= 127
                if not track.is_drum:
                    own = INSTRUMENTS[track.instrument]
                    assert own.low <= note.pitch <= own.high, (piece.seed, track.instrument)


def test_onsets_lie_on_the_grid_of_the_tempo(pieces: list[Piece]) -> None:
    """At least 85 % of the notes of every piece start within 40 ms of a (swung) sixteenth."""
    for piece in pieces:
        unit = GENRES[piece.genre].swing_unit
        starts = np.array([note.start for track in piece.tracks for note in track.notes])
        beats = starts / piece.beat
        places = np.arange(0, 2, 0.25)
        inner = places % (2 * unit)
        late = (
            places
            - inner
            + np.where(
                inner < unit,
                inner * 2 * piece.swing,
                2 * unit * piece.swing + (inner - unit) * 2 * (1 - piece.swing),
            )
        )
        late = np.append(late, 2.0)
        distance = np.abs((beats % 2)[:, None] - late).min(axis=1) * piece.beat
        assert (distance < 0.04).mean() > 0.85, (piece.seed, piece.genre)


def test_most_bars_have_a_note_on_the_downbeat(pieces: list[Piece]) -> None:
    for piece in pieces:
        starts = np.array([note.start for track in piece.tracks for note in track.notes])
        downbeats = np.arange(0, piece.duration - 0.1, piece.bar)
        heard = [np.abs(starts - downbeat).min() < 0.06 for downbeat in downbeats]
        if not piece.solo:
            assert np.mean(heard) > 0.6, (piece.seed, piece.genre)


def test_notes_belong_to_the_harmony(pieces: list[Piece]) -> None:
    """Over all pieces 95 % of the accompaniment is chord tones, and 97 % of the melody and 93 %
    of the bass (which approaches by semitones) are in the chord or the key."""
    inside: dict[str, list[bool]] = collections.defaultdict(list)
    for piece in pieces:
        key = {(piece.tonic + step) % 12 for step in SCALES[piece.mode]}
        for track in piece.tracks:
            if track.is_drum:
                continue
            for note in track.notes:
                chord = set(chord_at(piece, note.start).pitch_classes)
                wanted = key | chord if track.role in ("melody", "bass") else chord
                inside[track.role].append(note.pitch % 12 in wanted)
    share = {role: float(np.mean(hits)) for role, hits in inside.items()}
    assert min(share[role] for role in ("chords", "pad", "arpeggio")) > 0.95, share
    assert share["melody"] > 0.97 and share["bass"] > 0.93, share


def test_the_bass_is_below_the_melody(pieces: list[Piece]) -> None:
    for piece in pieces:
        mean = {track.role: np.mean([note.pitch for note in track.notes]) for track in piece.tracks}
        if "bass" in mean and "melody" in mean:
            assert mean["bass"] + 7 < mean["melody"], (piece.seed, piece.genre)


def test_pieces_are_well_spread(pieces: list[Piece]) -> None:
    count = len(pieces)
    genres = collections.Counter(piece.genre for piece in pieces)
    assert len(genres) >= 25 and max(genres.values()) < 0.12 * count
    assert 0.4 < sum(piece.mode == "major" for piece in pieces) / count < 0.6
    assert 0.28 < sum(piece.solo for piece in pieces) / count < 0.48
    assert 0.35 < sum(piece.has_drums for piece in pieces) / count < 0.7
    assert 0.04 < sum(piece.lead == "drums" for piece in pieces) / count < 0.13
    assert 0.03 < sum(piece.lead == "bass" for piece in pieces) / count < 0.11
    assert len({piece.lead for piece in pieces}) >= 18
    assert len({piece.tonic for piece in pieces}) == 12
    assert min(collections.Counter(piece.density for piece in pieces).values()) > 0.15 * count
    tempos = np.histogram([piece.tempo for piece in pieces], [60, 80, 100, 120, 140, 160, 181])[0]
    assert tempos.min() > 0.04 * count


def test_a_section_brings_its_music_back(pieces: list[Piece]) -> None:
    """The second A shares most pitches of accompaniment with the first."""
    compared = 0
    for piece in pieces:
        again = [section for section in piece.sections if section.name == "A"][:2]
        chords = next((track for track in piece.tracks if track.role == "chords"), None)
        if len(again) < 2 or chords is None:
            continue
        if again[1].end - again[1].start < again[0].end - again[0].start - 0.01:
            continue
        first, second = (
            {n.pitch for n in chords.notes if part.start <= n.start + 0.05 < part.end}
            for part in again
        )
        harmonies = [
            [chord.numeral for chord in piece.chords if part.start <= chord.start < part.end]
            for part in again
        ]
        if first and harmonies[0] == harmonies[1]:  # a long progression runs on
            assert len(first & second) >= 0.8 * len(first), piece.seed
            compared += 1
    assert compared > 30


def test_swing_moves_only_the_second_half_of_a_pair() -> None:
    rng = np.random.default_rng(0)
    events = [Event(beat, 0.2, 60) for beat in (0.0, 0.5, 1.0, 1.5)]
    notes = perform(events, rng, tempo=60, swing=0.6, unit=0.5, looseness=0.0, duration=9.0)
    assert [note.start for note in notes] == [0.0, 0.6, 1.0, 1.6]


def one_note(pitch: int, seed: int = 0) -> Piece:
    track = Track("melody", "flute", 73, False, (Note(0.5, 2.5, pitch, 100),))
    return Piece(
        seed,
        "folk",
        (),
        60.0,
        0,
        "major",
        4,
        0.5,
        "sparse",
        "dry",
        "flute",
        True,
        False,
        3.0,
        (Section("A", 0.0, 3.0),),
        (Chord(0.0, 3.0, 0, (0, 4, 7), "I"),),
        (track,),
    )


@pytest.mark.parametrize("pitch", [62, 69, 81])
def test_a_written_note_sounds_at_its_pitch(renderer: Renderer, pitch: int) -> None:
    sound = renderer.render(one_note(pitch))
    assert sound.dtype == np.float32 and len(sound) == 3 * 32000
    assert np.abs(sound[: int(0.45 * 32000)]).max() < 1e-3  # silent until it starts
    steady = sound[32000:64000] * np.hanning(32000)
    spectrum = np.abs(np.fft.rfft(steady))
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    low, high = round(wanted * 0.97), round(wanted * 1.03)
    peak = low + int(spectrum[low:high].argmax())
    assert abs(12 * np.log2(peak / wanted)) < 0.25
    assert spectrum[peak] > 0.2 * spectrum.max()


def test_sound_does_not_depend_on_what_was_rendered_before(
    renderer: Renderer, pieces: list[Piece]
) -> None:
    few = [compose(piece.seed, 6.0) for piece in pieces[:5]]
    forward = [renderer.render(piece) for piece in few]
    backward = [renderer.render(piece) for piece in reversed(few)][::-1]
    fresh = Renderer()
    for index, piece in enumerate(few):
        assert np.array_equal(forward[index], backward[index])
        if index in (1, 3):
            assert np.array_equal(forward[index], fresh.render(piece))


def test_pieces_are_level(renderer: Renderer, pieces: list[Piece]) -> None:
    for piece in pieces[:12]:
        sound = renderer.render(compose(piece.seed, 8.0))
        assert np.isfinite(sound).all() and np.abs(sound).max() <= 0.95
        assert 0.08 < np.sqrt(np.mean(sound**2)) < 0.2


def test_a_missing_sound_font_names_the_package(tmp_path) -> None:
    with pytest.raises(MissingPackage, match="fluidr3mono-gm-soundfont"):
        Renderer(soundfont=tmp_path / "none.sf3")


def test_shards_are_whole_and_go_on(renderer: Renderer, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(store, "SECONDS", 2.0)
    monkeypatch.setattr(store, "SHARD_PIECES", 2)
    monkeypatch.setattr(store, "_renderer", renderer)
    for index in range(2):
        assert store._render_shard((tmp_path / f"shard-{index:05d}.npy", 2 * index, 2)) == 2
    assert [path.name for path in store.shards(tmp_path)] == ["shard-00000.npy", "shard-00001.npy"]
    assert not list(tmp_path.glob("*.partial"))
    sound, kept = store.read_shard(store.shards(tmp_path)[1])
    assert sound.shape == (2, 64000) and sound.dtype == np.int16 and np.abs(sound).max() > 3000
    assert [piece.seed for piece in kept] == [2, 3]
    assert kept[0] == compose(2, 2.0).without_notes()
    assert list(store.render_shards(tmp_path, pieces=4, workers=1)) == [0, 0]  # nothing to do
    with pytest.raises(OptionError, match="another folder"):
        list(store.render_shards(tmp_path, pieces=4, workers=1, start=HELD_OUT))


def test_captions_say_nothing_false(pieces: list[Piece]) -> None:
    rng = np.random.default_rng(0)
    enharmonic = {"db": "c#", "d#": "eb", "gb": "f#", "g#": "ab", "a#": "bb"}
    alone = re.compile(
        r"\b(solo|alone|only|unaccompanied|by itself|isolated|nothing (but|else)|no other|lone)\b"
    )
    tempo_words = {
        word: (
            min(low for low, _, words in TEMPO_WORDS if word in words),
            max(high for _, high, words in TEMPO_WORDS if word in words),
        )
        for word in ("slow", "very slow", "mid-tempo", "fast", "very fast", "frantic")
    }
    seen: collections.Counter[str] = collections.Counter()
    for piece in [*pieces, *(compose(seed, 8.0) for seed in range(CROSSED, CROSSED + 60))]:
        for _ in range(6):
            text = caption(piece, rng)
            lower = text.lower()
            assert 3 <= len(text) <= 300 and "{" not in text and "  " not in text, text
            for number in re.findall(
                r"(\d+) ?(?:bpm|beats per)|(?:(?<!-)tempo(?: of)?|bpm:) (\d+)(?![\ds])", lower
            ):
                assert int("".join(number)) == round(piece.tempo), text
                seen["tempo"] += 1
            for tonic, mode in re.findall(r"\b([a-g][#b]?) (major|minor)\b", lower):
                if tonic != "a" or "in a m" not in lower:
                    name = enharmonic.get(tonic, tonic)
                    assert (name, mode) == (PITCH_NAMES[piece.tonic].lower(), piece.mode), text
                    seen["key"] += 1
            if alone.search(lower):
                assert piece.solo, text
            seen["alone"] += bool(piece.solo and alone.search(lower))
            if re.search(r"\b(no drums|without drums|drumless|no percussion|no beat)\b", lower):
                assert not piece.has_drums, text
                seen["no drums"] += 1
            others = re.sub(r"\b(no|without|steel) drums", "", lower)
            if re.search(r"\b(drums|drum kit)\b", others):
                assert piece.has_drums, text
            for word, (low, high) in tempo_words.items():
                phrase = rf"(?<!moderately )(?<!very )\b{word}\b(?![ -](?:strings|blues|jam|ish))"
                if re.search(phrase, lower) and not lower.startswith("slow strings"):
                    assert low <= piece.tempo < high, (piece.tempo, text)
            if re.search(r"\b(sad|melancholic)\b", lower):
                assert piece.mode == "minor", text
            if re.search(r"\b(happy|cheerful)\b", lower):
                assert piece.mode == "major", text
    assert min(seen["tempo"], seen["alone"]) > 300 and min(seen["key"], seen["no drums"]) > 50


def test_solos_mostly_say_so(pieces: list[Piece]) -> None:
    rng = np.random.default_rng(1)
    for piece in pieces:
        if piece.lead == "drums":
            texts = [caption(piece, rng).lower() for _ in range(4)]
            assert all(re.search(r"drum|percussion|beat|808|brush", text) for text in texts), texts


def test_captions_are_wide() -> None:
    samples = list(caption_samples(1200, 5))
    assert len(set(samples)) > 1150
    words = {word for text in samples for word in re.findall(r"[a-z0-9#'-]+", text.lower())}
    assert len(words) > 500
    assert list(caption_samples(20, 5)) == samples[:20]
    assert min(len(text.split()) for text in samples) <= 2
    assert max(len(text.split()) for text in samples) >= 20
