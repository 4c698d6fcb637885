"""The instruments: where they are in a General MIDI sound set, and what they can play."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """``low`` to ``high`` is the range that is written for it, in MIDI pitches."""

    program: int
    family: str  # what a listener would call it; the classes of a classifier
    low: int
    high: int
    sustained: bool = False  # holds its tone: bows, winds, organs, pads
    bank: int = 0


def _table() -> dict[str, Instrument]:
    rows = """
    piano                0  piano            28 100 -
    bright piano         1  piano            28 100 -
    honky-tonk piano     3  piano            36  96 -
    electric piano       4  electric_piano   36  93 -
    fm electric piano    5  electric_piano   36  93 -
    harpsichord          6  harpsichord      36  86 -
    clavinet             7  clavinet         36  84 -
    celesta              8  music_box        60 103 -
    music box           10  music_box        60  98 -
    vibraphone          11  mallets          53  89 -
    marimba             12  mallets          45  91 -
    xylophone           13  mallets          60  98 -
    hammond organ       16  organ            36  91 s
    rock organ          18  organ            36  91 s
    church organ        19  organ            36  91 s
    accordion           21  accordion        48  89 s
    harmonica           22  harmonica        55  86 s
    nylon guitar        24  guitar           40  83 -
    acoustic guitar     25  guitar           40  83 -
    jazz guitar         26  electric_guitar  40  84 -
    clean guitar        27  electric_guitar  40  84 -
    overdriven guitar   29  electric_guitar  40  86 s
    distorted guitar    30  electric_guitar  38  88 s
    upright bass        32  bass             28  57 -
    electric bass       33  bass             28  57 -
    picked bass         34  bass             28  57 -
    fretless bass       35  bass             28  57 -
    slap bass           36  bass             28  57 -
    synth bass          38  bass             26  55 s
    acid bass           39  bass             26  55 s
    violin              40  violin           55  96 s
    viola               41  strings          48  81 s
    cello               42  cello            36  74 s
    pizzicato strings   45  strings          40  88 -
    harp                46  harp             33  98 -
    strings             48  strings          36  91 s
    slow strings        49  strings          36  91 s
    synth strings       50  synth_pad        36  91 s
    choir               52  choir            43  81 s
    voices              53  choir            43  81 s
    trumpet             56  trumpet          54  82 s
    trombone            57  brass            40  70 s
    muted trumpet       59  trumpet          54  82 s
    french horn         60  brass            41  74 s
    brass section       61  brass            40  82 s
    synth brass         62  brass            40  84 s
    soprano sax         64  sax              56  86 s
    alto sax            65  sax              49  80 s
    tenor sax           66  sax              44  75 s
    oboe                68  woodwind         58  89 s
    bassoon             70  woodwind         34  67 s
    clarinet            71  woodwind         50  86 s
    flute               73  flute            60  96 s
    recorder            74  flute            62  93 s
    pan flute           75  flute            60  93 s
    whistle             78  flute            64  96 s
    square lead         80  chiptune         40  96 s
    saw lead            81  synth_lead       40  93 s
    synth lead          84  synth_lead       40  93 s
    pulse lead          86  synth_lead       40  88 s
    warm pad            89  synth_pad        36  86 s
    polysynth           90  synth_pad        36  88 s
    space pad           91  synth_pad        36  86 s
    halo pad            94  synth_pad        36  86 s
    sweep pad           95  synth_pad        36  86 s
    crystal synth       98  synth_pluck      48  91 -
    atmosphere synth    99  synth_pluck      43  91 -
    bright synth       100  synth_pluck      43  91 -
    sitar              104  sitar            43  79 -
    banjo              105  banjo            48  84 -
    koto               107  harp             48  86 -
    kalimba            108  mallets          55  86 -
    fiddle             110  violin           55  96 s
    steel drums        114  mallets          52  86 -
    """
    table = {}
    for row in rows.strip().splitlines():
        *name, program, family, low, high, kind = row.split()
        table[" ".join(name)] = Instrument(
            int(program), family.replace("_", " "), int(low), int(high), kind == "s"
        )
    table["ukulele"] = Instrument(24, "guitar", 60, 84, bank=8)
    table["twelve-string guitar"] = Instrument(25, "guitar", 40, 83, bank=8)
    table["funk guitar"] = Instrument(28, "electric guitar", 40, 79, bank=8)
    table["sine lead"] = Instrument(80, "synth lead", 48, 96, True, bank=8)
    return table


INSTRUMENTS: dict[str, Instrument] = _table()

KITS: dict[str, int] = {
    "drums": 0,
    "room drums": 8,
    "rock drums": 16,
    "electronic drums": 24,
    "808 drums": 25,
    "jazz drums": 32,
    "brushes": 40,
}
DRUM_BANK = 128

# General MIDI percussion, by the names the patterns use.
PERCUSSION: dict[str, int] = {
    "kick": 36,
    "rim": 37,
    "snare": 38,
    "clap": 39,
    "tom_low": 41,
    "hat": 42,
    "pedal": 44,
    "tom_mid": 45,
    "open": 46,
    "tom_high": 48,
    "crash": 49,
    "ride": 51,
    "bell": 53,
    "tambourine": 54,
    "cowbell": 56,
    "conga_high": 63,
    "conga_low": 64,
    "shaker": 70,
    "clave": 75,
    "triangle": 81,
}
