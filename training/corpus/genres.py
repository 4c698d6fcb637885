"""The styles, as data: what each genre plays, how fast, on what, and in which mood."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """An accompanying part: one of ``styles`` on one of ``instruments``, there by ``chance``."""

    role: str
    instruments: tuple[str, ...]
    styles: tuple[str, ...]
    chance: float = 1.0


@dataclass(frozen=True)
class Genre:
    """Ranges to draw from. ``major`` is the chance of a major key, ``drums`` that of drums."""

    tempo: tuple[int, int]
    major: float
    progressions: dict[str, tuple[str, ...]]  # by mode; a token a bar, "ii7,V7" shares one
    moods: dict[str, tuple[str, ...]]
    parts: tuple[Part, ...]
    leads: tuple[str, ...] = ()
    lead_chance: float = 0.85
    grooves: tuple[str, ...] = ()
    kits: tuple[str, ...] = ("drums",)
    drums: float = 0.0
    bass: tuple[str, ...] = ()
    bass_styles: tuple[str, ...] = ()
    meter: int = 4
    swing: tuple[float, float] = (0.5, 0.5)
    swing_unit: float = 0.5  # beats: 0.5 swings eighths, 0.25 sixteenths
    looseness: float = 0.007  # seconds
    pentatonic: float = 0.0
    melody: tuple[str, ...] = ("sparse", "medium", "medium", "dense")  # how busy
    productions: tuple[str, ...] = ("dry", "roomy", "warm")


def words(text: str) -> tuple[str, ...]:
    """The items of a comma list."""
    return tuple(item.strip() for item in text.split(","))


POP_MAJOR = (
    "I V vi IV",
    "I vi IV V",
    "vi IV I V",
    "I IV vi V",
    "I iii IV V",
    "I V IV V",
    "I IV I V",
    "IV V iii vi",
)
POP_MINOR = (
    "i VI III VII",
    "i VII VI VII",
    "i iv VI V",
    "i III VII VI",
    "i VI iv V",
    "i iv i V",
    "VI VII i i",
    "i v VI VII",
)
JAZZ_MAJOR = (
    "ii7 V7 Imaj7 Imaj7",
    "Imaj7 vi7 ii7 V7",
    "iii7 VI7 ii7 V7",
    "Imaj7 IVmaj7 iii7,VI7 ii7,V7",
    "Imaj7,vi7 ii7,V7 iii7,vi7 ii7,V7",
    "I6 II7 ii7 V7",
    "IVmaj7 iv7 Imaj7 VI7",
)
JAZZ_MINOR = (
    "iim7b5 V7 i7 i7",
    "i7 VImaj7 iim7b5 V7",
    "i6 iv7 iim7b5 V7",
    "iv7 VII7 IIImaj7 VImaj7",
    "i7 i7 iv7 V7",
)
SOUL_MAJOR = (
    "Imaj7 iii7 IVmaj7 V9",
    "Imaj9 vi9 ii9 V13",
    "IVmaj7 iii7 ii7 Imaj7",
    "Imaj7 IVmaj9 Imaj7 IVmaj9",
    "vi9 ii9 V13 Imaj9",
    "IVmaj9 V7 iii7 vi7",
)
SOUL_MINOR = (
    "i9 iv9 i9 iv9",
    "i7 VImaj7 iv9 v7",
    "VImaj7 v7 i9 i9",
    "i9 VII9 VImaj7 v7",
    "iv9 v7 i9 i9",
    "i7 IIImaj7 iv7 VImaj7",
)
CLASSICAL_MAJOR = (
    "I V vi iii IV I IV V",
    "I IV V I",
    "I vi ii V",
    "I V7 I V7 vi ii V7 I",
    "I,V vi,iii IV,I ii,V",
    "I ii V7 I",
)
CLASSICAL_MINOR = (
    "i iv V i",
    "i VI iv V",
    "i VII VI V",
    "i V7 i V7 VI iv V7 i",
    "i,V VI,III iv,i iv,V",
    "i iv VII III VI iv V V7",
)
VAMP_MAJOR = ("I I bVII IV", "I IV", "I ii", "I I IV IV", "I bVII")
VAMP_MINOR = ("i i i i", "i VII", "i i VI VII", "i iv", "i i iv iv", "i VI")
BLUES = ("I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I7 IV7 I7 V7")
BLUES_MINOR = ("i7 i7 i7 i7 iv7 iv7 i7 i7 VI7 V7 i7 V7", "i7 iv7 i7 V7")

HAPPY = words("happy, cheerful, bright, joyful, uplifting, playful")
SAD = words("sad, melancholic, moody, wistful, somber, lonely")
KEYS = ("piano", "electric piano", "bright piano")
PADS = ("warm pad", "space pad", "halo pad", "sweep pad", "synth strings")

GENRES: dict[str, Genre] = {
    "lo-fi": Genre(
        (66, 92),
        0.45,
        {"major": SOUL_MAJOR, "minor": SOUL_MINOR},
        {
            "major": words("relaxed, cozy, warm, dreamy, chill, mellow, nostalgic"),
            "minor": words("chill, nostalgic, melancholic, rainy, mellow, late-night, dreamy"),
        },
        (
            Part(
                "chords",
                ("electric piano", "piano", "jazz guitar", "nylon guitar"),
                ("lofi", "whole"),
            ),
            Part("pad", PADS, ("pad",), 0.3),
        ),
        leads=(
            "electric piano",
            "vibraphone",
            "jazz guitar",
            "flute",
            "piano",
            "tenor sax",
            "muted trumpet",
        ),
        lead_chance=0.7,
        grooves=("lofi", "lofi_snare", "boom_bap"),
        kits=("drums", "jazz drums", "808 drums"),
        drums=0.9,
        bass=("electric bass", "upright bass", "fretless bass"),
        bass_styles=("lofi", "sub"),
        swing=(0.54, 0.62),
        swing_unit=0.25,
        looseness=0.012,
        pentatonic=0.7,
        melody=("sparse", "medium"),
        productions=("lo-fi", "lo-fi", "warm"),
    ),
    "jazz": Genre(
        (84, 180),
        0.55,
        {"major": JAZZ_MAJOR, "minor": JAZZ_MINOR},
        {
            "major": words("smooth, relaxed, swinging, playful, elegant, warm, romantic"),
            "minor": words("smoky, moody, late-night, sophisticated, cool, mysterious"),
        },
        (Part("chords", ("piano", "piano", "jazz guitar", "hammond organ"), ("jazz",)),),
        leads=(
            "piano",
            "tenor sax",
            "alto sax",
            "trumpet",
            "muted trumpet",
            "vibraphone",
            "jazz guitar",
            "clarinet",
        ),
        lead_chance=0.95,
        grooves=("swing", "swing_two", "brushes"),
        kits=("jazz drums", "brushes"),
        drums=0.82,
        bass=("upright bass",),
        bass_styles=("walking",),
        swing=(0.62, 0.67),
        looseness=0.011,
        melody=("medium", "dense"),
        productions=("dry", "roomy", "warm"),
    ),
    "rock": Genre(
        (100, 168),
        0.55,
        {"major": (*POP_MAJOR, *VAMP_MAJOR), "minor": POP_MINOR},
        {
            "major": words("energetic, upbeat, anthemic, powerful, uplifting, driving"),
            "minor": words("driving, intense, gritty, dark, powerful, angry"),
        },
        (
            Part(
                "chords",
                ("overdriven guitar", "distorted guitar", "clean guitar"),
                ("power", "power_long", "push"),
            ),
            Part("pad", ("rock organ",), ("whole",), 0.25),
        ),
        leads=("overdriven guitar", "distorted guitar", "clean guitar", "rock organ", "piano"),
        lead_chance=0.75,
        grooves=("rock", "rock_push", "rock_ride", "half_time"),
        kits=("rock drums", "room drums"),
        drums=0.95,
        bass=("picked bass", "electric bass"),
        bass_styles=("eighths", "rock"),
        pentatonic=0.7,
    ),
    "punk": Genre(
        (158, 180),
        0.6,
        {"major": POP_MAJOR, "minor": POP_MINOR},
        {
            "major": words("energetic, fast, rebellious, fun, raw"),
            "minor": words("angry, aggressive, raw, rebellious"),
        },
        (Part("chords", ("distorted guitar",), ("power",)),),
        leads=("overdriven guitar",),
        lead_chance=0.4,
        grooves=("punk", "rock_push"),
        kits=("rock drums",),
        drums=1.0,
        bass=("picked bass",),
        bass_styles=("eighths",),
        pentatonic=0.8,
        productions=("dry", "roomy", "driven"),
    ),
    "metal": Genre(
        (110, 180),
        0.08,
        {
            "major": ("I bVII bVI V", "I I bVII bVII"),
            "minor": ("i i VI VII", "i VI iv V", "i i bII i", "i VII VI V"),
        },
        {
            "major": words("epic, powerful, triumphant"),
            "minor": words("aggressive, dark, heavy, brutal, intense, angry"),
        },
        (Part("chords", ("distorted guitar",), ("gallop", "chug", "power")),),
        leads=("distorted guitar", "overdriven guitar"),
        lead_chance=0.65,
        grooves=("metal", "metal_gallop", "half_time", "blast"),
        kits=("rock drums",),
        drums=1.0,
        bass=("picked bass",),
        bass_styles=("gallop", "eighths"),
        melody=("medium", "dense"),
        productions=("dry", "driven", "roomy"),
    ),
    "techno": Genre(
        (122, 142),
        0.15,
        {"major": VAMP_MAJOR, "minor": VAMP_MINOR},
        {
            "major": words("hypnotic, euphoric, energetic"),
            "minor": words("hypnotic, dark, driving, industrial, intense, mechanical"),
        },
        (
            Part("chords", ("saw lead", "polysynth", "bright synth"), ("techno", "stabs"), 0.7),
            Part(
                "arpeggio",
                ("pulse lead", "bright synth", "saw lead"),
                ("arp_gate", "arp_wave"),
                0.6,
            ),
            Part("pad", PADS, ("pad",), 0.4),
        ),
        leads=("saw lead", "synth lead"),
        lead_chance=0.25,
        grooves=("techno", "techno_hard", "four"),
        kits=("electronic drums", "808 drums"),
        drums=0.97,
        bass=("synth bass", "acid bass"),
        bass_styles=("rolling", "offbeat", "acid"),
        looseness=0.0,
        pentatonic=1.0,
        melody=("sparse", "medium"),
        productions=("dry", "roomy", "driven"),
    ),
    "house": Genre(
        (116, 130),
        0.45,
        {"major": SOUL_MAJOR, "minor": (*SOUL_MINOR, "i VI III VII", "i iv VI VII")},
        {
            "major": words("uplifting, groovy, happy, summery, euphoric"),
            "minor": words("groovy, deep, hypnotic, sensual, late-night"),
        },
        (
            Part(
                "chords",
                ("piano", "polysynth", "electric piano", "hammond organ"),
                ("house", "stabs"),
            ),
            Part("pad", (*PADS, "strings"), ("pad",), 0.5),
        ),
        leads=("synth lead", "piano", "saw lead", "flute", "vibraphone"),
        lead_chance=0.5,
        grooves=("house", "house_break", "four"),
        kits=("electronic drums", "808 drums"),
        drums=0.98,
        bass=("synth bass", "electric bass"),
        bass_styles=("house", "offbeat", "octaves"),
        swing=(0.5, 0.56),
        swing_unit=0.25,
        looseness=0.001,
        pentatonic=0.8,
    ),
    "trance": Genre(
        (130, 144),
        0.3,
        {"major": POP_MAJOR, "minor": POP_MINOR},
        {
            "major": words("euphoric, uplifting, soaring"),
            "minor": words("euphoric, emotional, driving, dreamy"),
        },
        (
            Part(
                "arpeggio",
                ("saw lead", "polysynth", "bright synth"),
                ("arp_up", "arp_wave", "arp_gate"),
            ),
            Part("pad", PADS, ("pad",), 0.8),
        ),
        leads=("saw lead", "synth lead", "pulse lead"),
        lead_chance=0.7,
        grooves=("four", "techno"),
        kits=("electronic drums",),
        drums=0.95,
        bass=("synth bass",),
        bass_styles=("offbeat", "rolling"),
        looseness=0.0,
        productions=("roomy", "hall", "dry"),
    ),
    "ambient": Genre(
        (60, 92),
        0.55,
        {
            "major": (
                "Imaj7 IVmaj7",
                "Isus2 IVmaj7 vi7 IVmaj7",
                "Imaj9 iii7 IVmaj9 IVmaj9",
                "I V IV IV",
            ),
            "minor": ("i7 VImaj7", "i9 iv9 VImaj7 v7", "i VI III VII", "isus2 VImaj7 iv7 iv7"),
        },
        {
            "major": words("calm, peaceful, serene, dreamy, meditative, ethereal, floating"),
            "minor": words("mysterious, haunting, dark, melancholic, ethereal, lonely, spacious"),
        },
        (
            Part("pad", (*PADS, "choir", "slow strings"), ("pad",)),
            Part(
                "arpeggio",
                ("crystal synth", "harp", "electric piano", "atmosphere synth", "vibraphone"),
                ("arp_slow", "arp_eighth"),
                0.65,
            ),
            Part("chords", ("atmosphere synth", "electric piano", "piano"), ("whole",), 0.4),
        ),
        leads=("piano", "flute", "halo pad", "cello", "vibraphone", "pan flute"),
        lead_chance=0.4,
        bass=("synth bass", "fretless bass"),
        bass_styles=("pedal",),
        looseness=0.015,
        pentatonic=1.0,
        melody=("sparse",),
        productions=("hall", "hall", "roomy"),
    ),
    "classical": Genre(
        (62, 148),
        0.5,
        {"major": CLASSICAL_MAJOR, "minor": CLASSICAL_MINOR},
        {
            "major": words("elegant, graceful, romantic, gentle, bright, playful, tender"),
            "minor": words("melancholic, dramatic, sad, passionate, emotional, tragic"),
        },
        (Part("chords", ("piano",), ("alberti", "broken", "nocturne", "rolling", "half")),),
        leads=("piano",),
        lead_chance=1.0,
        looseness=0.013,
        melody=("medium", "dense", "medium"),
        productions=("roomy", "hall", "dry"),
    ),
    "chamber": Genre(
        (60, 138),
        0.5,
        {"major": CLASSICAL_MAJOR, "minor": CLASSICAL_MINOR},
        {
            "major": words("elegant, graceful, warm, tender, noble"),
            "minor": words("sad, dramatic, melancholic, intense, mournful"),
        },
        (
            Part(
                "chords", ("strings", "viola"), ("chorale", "half", "pulse", "quarters", "ostinato")
            ),
        ),
        leads=("violin",),
        lead_chance=1.0,
        bass=("cello",),
        bass_styles=("half", "whole", "ballad"),
        looseness=0.013,
        melody=("sparse", "medium"),
        productions=("roomy", "hall"),
    ),
    "folk": Genre(
        (76, 140),
        0.65,
        {"major": (*POP_MAJOR, "I IV I V", "I V I IV"), "minor": (*POP_MINOR, "i VII i VII")},
        {
            "major": words("warm, gentle, pastoral, happy, intimate, hopeful, peaceful"),
            "minor": words("wistful, melancholic, intimate, lonely, nostalgic"),
        },
        (
            Part(
                "chords",
                ("acoustic guitar", "nylon guitar", "twelve-string guitar"),
                ("pick", "travis", "strum", "strum_slow"),
            ),
            Part("harmony", ("accordion", "strings"), ("whole",), 0.2),
        ),
        leads=("fiddle", "flute", "harmonica", "acoustic guitar", "whistle", "banjo", "accordion"),
        lead_chance=0.85,
        grooves=("country", "ballad"),
        kits=("brushes", "drums"),
        drums=0.25,
        bass=("upright bass",),
        bass_styles=("country", "half"),
        looseness=0.012,
        pentatonic=0.6,
    ),
    "country": Genre(
        (90, 156),
        0.85,
        {
            "major": ("I IV I V", "I I IV V", "I V IV I", "I IV V I", "I vi IV V"),
            "minor": POP_MINOR,
        },
        {
            "major": words("happy, warm, upbeat, down-home, sunny"),
            "minor": words("lonely, bittersweet, dusty"),
        },
        (
            Part(
                "chords",
                ("acoustic guitar", "twelve-string guitar"),
                ("boom_chick", "strum", "travis"),
            ),
            Part("arpeggio", ("banjo",), ("rolling",), 0.4),
        ),
        leads=("fiddle", "clean guitar", "harmonica", "banjo", "piano"),
        lead_chance=0.9,
        grooves=("country", "rock"),
        kits=("drums", "brushes"),
        drums=0.75,
        bass=("electric bass", "upright bass"),
        bass_styles=("country",),
        looseness=0.01,
        pentatonic=0.8,
    ),
    "blues": Genre(
        (64, 132),
        0.65,
        {"major": BLUES, "minor": BLUES_MINOR},
        {
            "major": words("gritty, laid-back, soulful, rough, warm"),
            "minor": words("smouldering, sad, smoky, soulful, moody"),
        },
        (
            Part(
                "chords",
                ("clean guitar", "piano", "hammond organ", "overdriven guitar"),
                ("jazz", "quarters", "push"),
            ),
        ),
        leads=(
            "overdriven guitar",
            "harmonica",
            "jazz guitar",
            "clean guitar",
            "piano",
            "tenor sax",
        ),
        lead_chance=0.95,
        grooves=("shuffle",),
        kits=("drums", "room drums"),
        drums=0.85,
        bass=("electric bass", "upright bass"),
        bass_styles=("walking",),
        swing=(0.62, 0.67),
        looseness=0.012,
        pentatonic=1.0,
        melody=("medium", "dense"),
    ),
    "chiptune": Genre(
        (110, 176),
        0.6,
        {"major": POP_MAJOR, "minor": (*POP_MINOR, "i VII VI V")},
        {
            "major": words("playful, energetic, happy, adventurous, cute"),
            "minor": words("adventurous, tense, mysterious, energetic, heroic"),
        },
        (Part("arpeggio", ("square lead",), ("chip_arp", "arp_wave", "arp_up")),),
        leads=("square lead",),
        lead_chance=0.95,
        grooves=("chip", "rock", "four"),
        kits=("electronic drums", "808 drums"),
        drums=0.7,
        bass=("square lead",),
        bass_styles=("chip", "octaves", "eighths"),
        looseness=0.0,
        melody=("medium", "dense"),
        productions=("dry", "8-bit", "8-bit"),
    ),
    "funk": Genre(
        (92, 122),
        0.4,
        {
            "major": ("I9 I9 IV9 IV9", "I9 IV9", "I7 I7 I7 IV9"),
            "minor": ("i9 i9 IV9 IV9", "i7 iv9", "i9 IV9", "i7 VII9 i7 IV9"),
        },
        {
            "major": words("funky, groovy, upbeat, playful, danceable"),
            "minor": words("funky, groovy, gritty, cool, tight"),
        },
        (
            Part("chords", ("funk guitar", "clean guitar", "clavinet"), ("funk", "clav")),
            Part("pad", ("hammond organ", "electric piano"), ("push", "whole"), 0.4),
        ),
        leads=(
            "brass section",
            "alto sax",
            "clavinet",
            "trumpet",
            "electric piano",
            "hammond organ",
        ),
        lead_chance=0.65,
        grooves=("funk", "funk_linear", "disco"),
        kits=("drums", "room drums"),
        drums=0.97,
        bass=("slap bass", "electric bass"),
        bass_styles=("funk", "slap"),
        swing=(0.5, 0.57),
        swing_unit=0.25,
        pentatonic=0.9,
        melody=("medium", "dense"),
        productions=("dry", "warm"),
    ),
    "disco": Genre(
        (108, 128),
        0.5,
        {"major": SOUL_MAJOR, "minor": POP_MINOR},
        {
            "major": words("danceable, glamorous, happy, groovy"),
            "minor": words("danceable, glamorous, driving, groovy"),
        },
        (
            Part("chords", ("funk guitar", "electric piano", "piano"), ("funk", "stabs")),
            Part("pad", ("strings",), ("pad", "push"), 0.8),
        ),
        leads=("strings", "brass section", "alto sax", "piano"),
        lead_chance=0.7,
        grooves=("disco", "four"),
        drums=0.98,
        bass=("electric bass", "picked bass"),
        bass_styles=("octaves", "motown"),
        looseness=0.004,
    ),
    "soul": Genre(
        (64, 112),
        0.6,
        {"major": SOUL_MAJOR, "minor": SOUL_MINOR},
        {
            "major": words("warm, smooth, romantic, soulful, uplifting"),
            "minor": words("soulful, sensual, smooth, moody"),
        },
        (
            Part(
                "chords", ("electric piano", "hammond organ", "piano"), ("gospel", "push", "lofi")
            ),
            Part("harmony", ("brass section", "strings", "voices"), ("whole",), 0.35),
        ),
        leads=("alto sax", "trumpet", "clean guitar", "hammond organ", "electric piano"),
        lead_chance=0.8,
        grooves=("hiphop", "rock", "ballad", "half_time"),
        drums=0.85,
        bass=("electric bass", "fretless bass"),
        bass_styles=("motown", "ballad"),
        swing=(0.5, 0.58),
        swing_unit=0.25,
        looseness=0.01,
        pentatonic=0.7,
        productions=("warm", "roomy", "dry"),
    ),
    "hip-hop": Genre(
        (78, 104),
        0.3,
        {"major": SOUL_MAJOR, "minor": (*SOUL_MINOR, *VAMP_MINOR)},
        {
            "major": words("laid-back, confident, sunny, smooth"),
            "minor": words("dark, gritty, moody, confident, laid-back"),
        },
        (
            Part(
                "chords",
                ("electric piano", "piano", "strings", "vibraphone", "jazz guitar"),
                ("lofi", "whole", "push"),
            ),
            Part("arpeggio", ("harp", "pizzicato strings", "music box"), ("arp_eighth",), 0.2),
        ),
        leads=("flute", "trumpet", "electric piano", "synth lead", "strings"),
        lead_chance=0.5,
        grooves=("hiphop", "boom_bap"),
        kits=("drums", "808 drums", "electronic drums"),
        drums=0.97,
        bass=("synth bass", "electric bass"),
        bass_styles=("hiphop", "sub"),
        swing=(0.52, 0.6),
        swing_unit=0.25,
        looseness=0.008,
        pentatonic=0.9,
        melody=("sparse", "medium"),
        productions=("warm", "lo-fi", "dry"),
    ),
    "trap": Genre(
        (120, 150),
        0.08,
        {"major": VAMP_MAJOR, "minor": (*VAMP_MINOR, "i VI iv V")},
        {"major": words("confident, bouncy"), "minor": words("dark, menacing, hard, moody, eerie")},
        (
            Part(
                "arpeggio",
                ("music box", "piano", "crystal synth", "pizzicato strings"),
                ("arp_eighth", "arp_slow"),
            ),
            Part("pad", (*PADS, "choir"), ("pad",), 0.5),
        ),
        leads=("flute", "synth lead", "sine lead", "square lead"),
        lead_chance=0.4,
        grooves=("trap",),
        kits=("808 drums",),
        drums=1.0,
        bass=("synth bass",),
        bass_styles=("trap", "sub"),
        looseness=0.002,
        pentatonic=0.8,
        melody=("sparse", "medium"),
        productions=("dry", "roomy", "driven"),
    ),
    "reggae": Genre(
        (66, 92),
        0.55,
        {
            "major": ("I IV", "I IV V IV", "I vi ii V", "I V vi IV"),
            "minor": ("i iv", "i VII", "i VI iv v", "i VII VI VII"),
        },
        {
            "major": words("relaxed, sunny, laid-back, happy, tropical"),
            "minor": words("laid-back, deep, dubby, conscious"),
        },
        (
            Part("chords", ("clean guitar", "piano", "hammond organ"), ("skank", "skank_double")),
            Part("pad", ("hammond organ",), ("skank_double", "whole"), 0.5),
        ),
        leads=("trombone", "alto sax", "harmonica", "hammond organ", "trumpet", "clean guitar"),
        lead_chance=0.65,
        grooves=("one_drop", "steppers"),
        drums=0.95,
        bass=("electric bass", "fretless bass"),
        bass_styles=("reggae",),
        swing=(0.5, 0.6),
        swing_unit=0.25,
        looseness=0.009,
        pentatonic=0.8,
        productions=("warm", "roomy", "hall"),
    ),
    "waltz": Genre(
        (84, 176),
        0.55,
        {"major": CLASSICAL_MAJOR, "minor": CLASSICAL_MINOR},
        {
            "major": words("elegant, romantic, graceful, charming, nostalgic"),
            "minor": words("melancholic, mysterious, romantic, wistful"),
        },
        (
            Part(
                "chords",
                ("piano", "strings", "accordion", "nylon guitar", "harp"),
                ("waltz", "waltz_arp", "waltz_block", "waltz_strum"),
            ),
            Part("pad", ("strings", "slow strings"), ("waltz_block",), 0.3),
        ),
        leads=("violin", "accordion", "piano", "clarinet", "flute", "music box", "strings"),
        lead_chance=0.95,
        grooves=("waltz", "waltz_jazz"),
        kits=("brushes", "jazz drums"),
        drums=0.2,
        bass=("upright bass", "cello"),
        bass_styles=("waltz", "waltz_jazz"),
        meter=3,
        looseness=0.01,
        productions=("roomy", "hall", "dry"),
    ),
    "bossa nova": Genre(
        (108, 148),
        0.6,
        {"major": JAZZ_MAJOR, "minor": JAZZ_MINOR},
        {
            "major": words("relaxed, breezy, romantic, sunny, gentle, warm"),
            "minor": words("wistful, intimate, sensual, cool"),
        },
        (Part("chords", ("nylon guitar", "nylon guitar", "electric piano"), ("bossa",)),),
        leads=("flute", "tenor sax", "nylon guitar", "piano", "vibraphone", "trumpet"),
        lead_chance=0.9,
        grooves=("bossa", "samba"),
        kits=("brushes", "jazz drums"),
        drums=0.75,
        bass=("upright bass", "electric bass"),
        bass_styles=("bossa",),
        looseness=0.009,
        productions=("dry", "warm", "roomy"),
    ),
    "latin": Genre(
        (92, 132),
        0.5,
        {
            "major": ("I IV V IV", "I V I V", "I ii V I"),
            "minor": ("i iv V V", "i VII VI V", "iv i V i", "i V"),
        },
        {
            "major": words("festive, sunny, danceable, joyful, hot"),
            "minor": words("passionate, fiery, danceable, spicy"),
        },
        (
            Part("chords", ("piano", "nylon guitar"), ("clav", "ostinato", "bossa")),
            Part("harmony", ("brass section",), ("push",), 0.4),
        ),
        leads=("trumpet", "flute", "nylon guitar", "brass section", "trombone", "marimba"),
        lead_chance=0.85,
        grooves=("latin", "samba"),
        drums=0.93,
        bass=("upright bass", "electric bass"),
        bass_styles=("tumbao", "bossa"),
        looseness=0.008,
        melody=("medium", "dense"),
    ),
    "synthwave": Genre(
        (80, 120),
        0.25,
        {"major": POP_MAJOR, "minor": POP_MINOR},
        {
            "major": words("nostalgic, dreamy, uplifting, neon"),
            "minor": words("nostalgic, dark, neon, driving, retro, moody"),
        },
        (
            Part("pad", PADS, ("pad",)),
            Part(
                "arpeggio",
                ("saw lead", "polysynth", "bright synth", "pulse lead"),
                ("arp_up", "arp_wave", "arp_eighth"),
                0.75,
            ),
        ),
        leads=("saw lead", "synth lead", "pulse lead", "synth brass"),
        lead_chance=0.75,
        grooves=("synthwave", "synthwave_four"),
        kits=("electronic drums",),
        drums=0.93,
        bass=("synth bass",),
        bass_styles=("synthwave", "octaves"),
        looseness=0.001,
        melody=("sparse", "medium"),
        productions=("roomy", "hall", "warm"),
    ),
    "pop": Genre(
        (84, 132),
        0.65,
        {"major": POP_MAJOR, "minor": POP_MINOR},
        {
            "major": (*HAPPY, "catchy", "hopeful"),
            "minor": ("emotional", "catchy", "bittersweet", "moody", "dramatic"),
        },
        (
            Part(
                "chords",
                ("piano", "acoustic guitar", "electric piano", "polysynth"),
                ("push", "quarters", "strum", "half"),
            ),
            Part("pad", (*PADS, "strings"), ("pad",), 0.5),
            Part(
                "arpeggio", ("bright synth", "marimba", "pizzicato strings"), ("arp_eighth",), 0.3
            ),
        ),
        leads=("synth lead", "piano", "clean guitar", "saw lead", "flute", "violin", "whistle"),
        lead_chance=0.85,
        grooves=("rock", "four", "half_time", "rock_push"),
        kits=("drums", "electronic drums", "room drums"),
        drums=0.85,
        bass=("electric bass", "synth bass", "picked bass"),
        bass_styles=("eighths", "rock", "half", "ballad"),
        pentatonic=0.6,
    ),
    "cinematic": Genre(
        (60, 140),
        0.4,
        {
            "major": ("I vi IV V", "I V vi IV", "I iii IV iv", "IV V vi vi"),
            "minor": ("i VI III VII", "i VI iv V", "i VII VI V", "i i VI VI"),
        },
        {
            "major": words("epic, heroic, hopeful, inspiring, majestic, triumphant"),
            "minor": words("epic, dramatic, tense, dark, emotional, mysterious, suspenseful"),
        },
        (
            Part(
                "chords", ("strings", "strings", "piano"), ("ostinato", "pulse", "chorale", "pad")
            ),
            Part("pad", ("choir", "slow strings", "french horn"), ("pad",), 0.6),
            Part("arpeggio", ("harp", "pizzicato strings", "piano"), ("arp_eighth", "harp"), 0.4),
        ),
        leads=("french horn", "violin", "cello", "trumpet", "strings", "piano", "oboe", "choir"),
        lead_chance=0.85,
        grooves=("march", "half_time"),
        kits=("room drums",),
        drums=0.3,
        bass=("cello",),
        bass_styles=("whole", "half"),
        looseness=0.012,
        melody=("sparse", "medium"),
        productions=("hall", "hall", "roomy"),
    ),
    "baroque": Genre(
        (72, 126),
        0.5,
        {"major": CLASSICAL_MAJOR, "minor": CLASSICAL_MINOR},
        {
            "major": words("stately, bright, ornate, joyful, noble"),
            "minor": words("solemn, dramatic, ornate, serious"),
        },
        (
            Part(
                "chords",
                ("harpsichord", "church organ"),
                ("broken", "alberti", "chorale", "rolling"),
            ),
            Part("pad", ("strings",), ("chorale",), 0.4),
        ),
        leads=("harpsichord", "recorder", "violin", "oboe", "church organ", "trumpet"),
        lead_chance=1.0,
        bass=("cello", "bassoon"),
        bass_styles=("walking", "half"),
        looseness=0.009,
        melody=("medium", "dense"),
        productions=("roomy", "hall"),
    ),
    "drum and bass": Genre(
        (164, 178),
        0.2,
        {"major": SOUL_MAJOR, "minor": (*SOUL_MINOR, *VAMP_MINOR)},
        {
            "major": words("liquid, uplifting, energetic"),
            "minor": words("dark, energetic, intense, fast, rolling"),
        },
        (
            Part("pad", PADS, ("pad",)),
            Part("chords", ("electric piano", "piano", "polysynth"), ("lofi", "whole"), 0.5),
        ),
        leads=("synth lead", "saw lead", "piano", "vibraphone"),
        lead_chance=0.4,
        grooves=("breakbeat", "breakbeat_two"),
        kits=("electronic drums", "drums"),
        drums=1.0,
        bass=("synth bass", "acid bass"),
        bass_styles=("trap", "sub", "hiphop"),
        looseness=0.001,
        pentatonic=0.8,
        melody=("sparse", "medium"),
        productions=("dry", "roomy", "driven"),
    ),
}


@dataclass(frozen=True)
class Solo:
    """One instrument alone: ``textures`` as "left hand + melody", a style alone, or "melody"."""

    weight: float
    instruments: tuple[str, ...]
    genres: tuple[str, ...]
    textures: tuple[str, ...] = ("melody",)


SOLOS: tuple[Solo, ...] = (
    Solo(
        12.5,
        ("drums",),
        words(
            "rock, funk, jazz, hip-hop, techno, house, metal, reggae, bossa nova, disco, trap, "
            "drum and bass, latin, lo-fi, pop, punk, blues, synthwave"
        ),
    ),
    Solo(
        9.0,
        ("bass",),
        words(
            "funk, jazz, rock, disco, reggae, hip-hop, blues, soul, techno, synthwave, metal, house"
        ),
    ),
    Solo(
        2.6,
        ("piano",),
        words("classical"),
        ("alberti+melody", "broken+melody", "nocturne+melody", "rolling+melody", "half+melody"),
    ),
    Solo(
        2.6,
        ("piano", "bright piano", "piano"),
        words("jazz, pop, blues, ambient, cinematic, waltz, lo-fi, soul"),
        (
            "half+melody",
            "stride+melody",
            "broken+melody",
            "waltz+melody",
            "waltz_arp+melody",
            "arp_slow+melody",
            "gospel",
            "broken",
        ),
    ),
    Solo(
        0.5, ("honky-tonk piano",), words("blues, country"), ("ragtime+melody", "boom_chick+melody")
    ),
    Solo(
        1.2,
        ("electric piano", "fm electric piano"),
        words("lo-fi, soul, jazz"),
        ("half+melody", "lofi+melody", "lofi", "gospel"),
    ),
    Solo(
        3.6,
        ("acoustic guitar", "nylon guitar", "twelve-string guitar"),
        words("folk, country, bossa nova, latin, waltz, classical, pop"),
        (
            "pick+melody",
            "pick",
            "travis",
            "strum",
            "strum_slow",
            "bossa",
            "waltz_arp",
            "waltz_strum",
            "broken+melody",
        ),
    ),
    Solo(0.5, ("ukulele",), words("folk, pop"), ("strum", "strum_fast", "arp_eighth")),
    Solo(
        2.2,
        ("clean guitar", "jazz guitar", "overdriven guitar", "distorted guitar"),
        words("rock, jazz, blues, metal, funk"),
        ("melody", "melody", "power", "chug", "jazz", "funk"),
    ),
    Solo(
        1.1,
        ("hammond organ", "rock organ", "church organ"),
        words("soul, baroque, jazz, blues"),
        ("half+melody", "chorale", "gospel", "walking+melody"),
    ),
    Solo(0.6, ("harpsichord",), words("baroque"), ("alberti+melody", "broken+melody", "rolling")),
    Solo(
        1.3,
        ("strings", "slow strings"),
        words("cinematic, chamber, ambient"),
        ("chorale", "pad", "pulse", "half", "ostinato"),
    ),
    Solo(0.5, ("pizzicato strings",), words("chamber, cinematic"), ("arp_eighth", "quarters")),
    Solo(1.4, ("violin", "fiddle"), words("folk, chamber, baroque, waltz, cinematic")),
    Solo(1.2, ("cello",), words("chamber, cinematic, baroque")),
    Solo(
        1.3,
        ("flute", "recorder", "pan flute", "whistle"),
        words("folk, ambient, baroque, waltz, bossa nova"),
    ),
    Solo(1.4, ("alto sax", "tenor sax", "soprano sax"), words("jazz, soul, blues, bossa nova")),
    Solo(1.1, ("trumpet", "muted trumpet"), words("jazz, cinematic, latin")),
    Solo(0.5, ("trombone", "french horn"), words("cinematic, jazz")),
    Solo(0.6, ("clarinet", "oboe"), words("jazz, baroque, waltz")),
    Solo(
        2.0,
        ("saw lead", "synth lead", "pulse lead", "polysynth"),
        words("synthwave, techno, trance, pop"),
        ("melody", "arp_up", "arp_wave", "arp_gate", "arp_eighth"),
    ),
    Solo(
        1.2,
        ("warm pad", "space pad", "halo pad", "sweep pad", "synth strings"),
        words("ambient, synthwave, cinematic"),
        ("pad", "whole"),
    ),
    Solo(1.2, ("square lead",), words("chiptune"), ("melody", "chip_arp", "chip_arp+melody")),
    Solo(
        1.2,
        ("vibraphone", "marimba", "kalimba", "xylophone", "steel drums"),
        words("jazz, ambient, pop, latin, lo-fi"),
        ("melody", "arp_eighth", "arp_slow+melody", "half+melody"),
    ),
    Solo(
        1.0,
        ("harp", "koto"),
        words("ambient, classical, cinematic, folk"),
        ("harp", "arp_eighth", "broken+melody"),
    ),
    Solo(
        0.8,
        ("music box", "celesta"),
        words("waltz, ambient, classical"),
        ("arp_eighth+melody", "waltz_arp+melody", "arp_slow+melody"),
    ),
    Solo(
        0.9,
        ("accordion", "accordion", "harmonica"),
        words("waltz, folk, latin"),
        ("melody", "waltz+melody", "half+melody"),
    ),
    Solo(0.5, ("banjo",), words("country, folk"), ("rolling", "travis")),
    Solo(0.5, ("choir", "voices"), words("cinematic, ambient"), ("chorale", "pad")),
    Solo(0.3, ("sitar",), words("folk, ambient")),
)
