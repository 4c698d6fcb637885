"""The words people use for what a piece is: synonyms for captions, as data."""

from __future__ import annotations


def _words(text: str, between: str = ",") -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(between))


GENRE_WORDS: dict[str, tuple[str, ...]] = {
    "lo-fi": _words(
        "lo-fi, lofi, lo-fi hip hop, lofi beat, chillhop, lo-fi beats, lofi hip-hop, study beats"
    ),
    "jazz": _words(
        "jazz, swing, jazz combo, bebop, straight-ahead jazz, jazz club, cool jazz, swing jazz"
    ),
    "rock": _words(
        "rock, classic rock, alternative rock, indie rock, rock and roll, guitar rock, stadium rock"
    ),
    "punk": _words("punk, punk rock, pop punk, garage punk, skate punk"),
    "metal": _words("metal, heavy metal, thrash metal, power metal"),
    "techno": _words(
        "techno, electronic, dark techno, club techno, EDM, minimal techno, electronic dance music"
    ),
    "house": _words("house, deep house, dance, club house, house music, electronic dance, EDM"),
    "trance": _words("trance, uplifting trance, EDM, rave, electronic, melodic trance"),
    "ambient": _words(
        "ambient, soundscape, drone ambient, new age, ambient electronic, meditation music"
    ),
    "classical": _words("classical, classical music, romantic classical, sonata, etude"),
    "chamber": _words("chamber music, classical, classical chamber music"),
    "folk": _words(
        "folk, acoustic folk, folk song, singer-songwriter, indie folk, celtic folk, acoustic"
    ),
    "country": _words("country, bluegrass, americana, country and western, nashville country"),
    "blues": _words(
        "blues, slow blues, twelve-bar blues, delta blues, electric blues, 12 bar blues"
    ),
    "chiptune": _words(
        "chiptune, 8-bit, 8 bit video game music, retro game, NES style, arcade game, video game"
    ),
    "funk": _words("funk, funky groove, seventies funk, funk jam, 70s funk, funk rock"),
    "disco": _words("disco, nu-disco, 70s disco, disco funk, dance floor disco"),
    "soul": _words("soul, R&B, rnb, neo-soul, motown soul, gospel-tinged soul, slow jam"),
    "hip-hop": _words(
        "hip-hop, hip hop, rap beat, boom bap, old school hip hop, 90s hip hop, rap instrumental"
    ),
    "trap": _words("trap, trap beat, 808 trap, dark trap, southern trap beat, modern hip hop"),
    "reggae": _words("reggae, dub, roots reggae, island reggae, dub reggae, ska-tinged reggae"),
    "waltz": _words("waltz, three-four waltz, ballroom waltz, viennese waltz, waltz in 3/4"),
    "bossa nova": _words(
        "bossa nova, bossa, brazilian jazz, samba jazz, latin jazz, brazilian bossa nova"
    ),
    "latin": _words("latin, salsa, cuban son, mambo, latin dance, salsa dance"),
    "synthwave": _words(
        "synthwave, retrowave, 80s synth, outrun, 80s electronic, eighties synth pop, 80s retro"
    ),
    "pop": _words("pop, pop song, radio pop, indie pop, catchy pop, pop instrumental, pop ballad"),
    "cinematic": _words(
        "cinematic, film score, orchestral, soundtrack, movie trailer, epic orchestral, film music"
    ),
    "baroque": _words("baroque, baroque music, early music, 18th century, courtly baroque"),
    "drum and bass": _words(
        "drum and bass, dnb, drum n bass, jungle, liquid drum and bass, breakbeat, d&b"
    ),
}

SLOW_ONLY = _words("slow blues, slow jam, pop ballad")  # only where the tempo is slow

INSTRUMENT_WORDS: dict[str, tuple[str, ...]] = {
    "piano": _words("piano, grand piano, acoustic piano, piano chords"),
    "bright piano": _words("piano, bright piano, upright piano"),
    "honky-tonk piano": _words("honky-tonk piano, saloon piano, old piano"),
    "electric piano": _words("electric piano, Rhodes, rhodes piano, e-piano"),
    "fm electric piano": _words("electric piano, DX7 electric piano, e-piano"),
    "harpsichord": _words("harpsichord, cembalo"),
    "clavinet": _words("clavinet, clav, funky clavinet"),
    "celesta": _words("celesta, celeste, music box"),
    "music box": _words("music box, toy music box"),
    "vibraphone": _words("vibraphone, vibes, mallets"),
    "marimba": _words("marimba, mallets, wooden marimba"),
    "xylophone": _words("xylophone, mallets"),
    "hammond organ": _words("organ, Hammond organ, hammond"),
    "rock organ": _words("organ, rock organ, electric organ"),
    "church organ": _words("church organ, pipe organ, organ"),
    "accordion": _words("accordion, squeezebox"),
    "harmonica": _words("harmonica, blues harp, mouth organ"),
    "nylon guitar": _words(
        "nylon guitar, classical guitar, acoustic guitar, spanish guitar, guitar, guitars"
    ),
    "acoustic guitar": _words("acoustic guitar, steel-string guitar, guitar, acoustic guitars"),
    "twelve-string guitar": _words("twelve-string guitar, 12-string guitar, acoustic guitar"),
    "ukulele": _words("ukulele, uke"),
    "jazz guitar": _words("jazz guitar, electric guitar, mellow guitar, hollow-body guitar"),
    "clean guitar": _words("electric guitar, clean guitar, guitar, electric guitars"),
    "funk guitar": _words("electric guitar, wah guitar, funky guitar, rhythm guitar"),
    "overdriven guitar": _words(
        "electric guitar, overdriven guitar, electric guitars, rock guitar, guitars"
    ),
    "distorted guitar": _words(
        "distorted guitar, distorted electric guitar, heavy guitar, guitar riffs, electric guitar"
    ),
    "upright bass": _words("upright bass, double bass, acoustic bass, bass"),
    "electric bass": _words("bass, bass guitar, electric bass, fingered bass"),
    "picked bass": _words("bass, bass guitar, picked bass, electric bass"),
    "fretless bass": _words("fretless bass, bass, bass guitar"),
    "slap bass": _words("slap bass, funky bass, bass guitar, slapped bass"),
    "synth bass": _words("synth bass, bass, deep bass, electronic bass"),
    "acid bass": _words("acid bass, synth bass, bass, 303 bass"),
    "violin": _words("violin, violin, bowed violin, violins"),
    "fiddle": _words("fiddle, violin, folk fiddle"),
    "viola": _words("viola, strings"),
    "cello": _words("cello, violoncello"),
    "pizzicato strings": _words("pizzicato strings, plucked strings, pizzicato"),
    "harp": _words("harp, concert harp"),
    "koto": _words("koto, japanese koto"),
    "strings": _words("strings, string section, string ensemble, orchestral strings"),
    "slow strings": _words("strings, slow strings, soft strings, string ensemble"),
    "synth strings": _words("synth strings, string pad, synth pad"),
    "choir": _words("choir, voices, choral voices, ahh choir"),
    "voices": _words("voices, vocal oohs, choir"),
    "trumpet": _words("trumpet, bright trumpet, trumpets"),
    "muted trumpet": _words("muted trumpet, trumpet, harmon mute trumpet"),
    "trombone": _words("trombone, brass"),
    "french horn": _words("french horn, horns, brass"),
    "brass section": _words("brass section, horns, horn section, brass"),
    "synth brass": _words("synth brass, analog brass"),
    "soprano sax": _words("soprano sax, saxophone, sax"),
    "alto sax": _words("alto sax, saxophone, sax, alto saxophone"),
    "tenor sax": _words("tenor sax, saxophone, sax, tenor saxophone"),
    "oboe": _words("oboe, woodwind"),
    "bassoon": _words("bassoon, woodwind"),
    "clarinet": _words("clarinet, woodwind"),
    "flute": _words("flute, concert flute"),
    "recorder": _words("recorder, wooden flute"),
    "pan flute": _words("pan flute, flute, panpipes"),
    "whistle": _words("whistle, tin whistle, flute"),
    "square lead": _words(
        "square wave, chip synth, 8-bit synth, pulse wave, chiptune lead, bleeps"
    ),
    "saw lead": _words("synth, saw lead, synth lead, analog synth, synths, synthesizers"),
    "synth lead": _words("synth lead, synth, synthesizer, lead synth, synthesizers, synths"),
    "pulse lead": _words("synth lead, synth, analog synthesizer, synthesizer"),
    "sine lead": _words("sine synth, synth lead, whistling synth"),
    "warm pad": _words("pads, warm pad, synth pad, warm synth pads"),
    "polysynth": _words("polysynth, synth, analog synth, synth chords, synths"),
    "space pad": _words("space pad, pads, synth pad, airy pads"),
    "halo pad": _words("pads, shimmering pad, synth pad"),
    "sweep pad": _words("sweeping pad, pads, synth pad"),
    "crystal synth": _words("bell synth, crystal synth, synth bells, synth"),
    "atmosphere synth": _words("atmospheric synth, plucked synth, synth"),
    "bright synth": _words("bright synth, synth, plucked synth"),
    "sitar": _words("sitar, indian sitar"),
    "banjo": _words("banjo, picked banjo"),
    "kalimba": _words("kalimba, thumb piano"),
    "steel drums": _words("steel drums, steel pan, steelpan"),
    "drums": _words("drums, drum kit, drum set, drumkit, percussion, live drums"),
    "room drums": _words("drums, drum kit, roomy drums, live drums, acoustic drums"),
    "rock drums": _words("drums, rock drums, drum kit, powerful drums, hard-hitting drums"),
    "electronic drums": _words("electronic drums, drums, drum machine, beats, programmed drums"),
    "808 drums": _words("808 drums, drum machine, 808, drums, TR-808 beats"),
    "jazz drums": _words("drums, jazz drums, jazz drum kit, drum kit"),
    "brushes": _words("brushes, brushed drums, drums, brushed snare, soft drums"),
}

GROOVE_WORDS: dict[str, tuple[str, ...]] = {
    "lo-fi": _words("dusty drums, laid-back beat, lazy beat"),
    "jazz": _words("ride cymbal, swinging drums, walking bass"),
    "metal": _words("double bass drums, pounding drums, heavy riffs"),
    "punk": _words("fast drums, power chords"),
    "rock": _words("backbeat, driving drums, power chords"),
    "techno": _words("four-on-the-floor kick, pounding kick, hypnotic beat"),
    "house": _words("four-on-the-floor beat, off-beat hi-hats, club beat"),
    "trance": _words("four-on-the-floor kick, arpeggios, big synths"),
    "funk": _words("syncopated groove, tight groove, ghost notes"),
    "disco": _words("four-on-the-floor, octave bass, open hi-hats"),
    "hip-hop": _words("head-nodding beat, boom bap drums, hard-hitting beat"),
    "trap": _words("808s, hi-hat rolls, hard-hitting 808s"),
    "reggae": _words("off-beat skank, one drop, offbeat chords"),
    "bossa nova": _words("syncopated rhythm, soft rim clicks, gentle percussion"),
    "latin": _words("latin percussion, percussion, dance rhythm"),
    "drum and bass": _words("fast breakbeats, rolling drums, breakbeat drums"),
    "blues": _words("shuffle groove, swung shuffle, shuffle beat"),
    "synthwave": _words("gated drums, steady beat, retro drum machine"),
}

PRODUCTION_WORDS: dict[str, tuple[str, ...]] = {
    "dry": _words("dry, close, clean, studio recording, high quality, clear, tight mix"),
    "roomy": _words("roomy, live room, natural reverb, live recording, airy, some reverb"),
    "hall": _words("reverb, spacious, concert hall, lots of reverb, cathedral reverb, reverberant"),
    "warm": _words(
        "warm, analog, vintage, tape, warm analog sound, mellow tone, vintage recording"
    ),
    "lo-fi": _words(
        "vinyl crackle, dusty, lo-fi recording, tape hiss, old record, muffled, vintage vinyl"
    ),
    "driven": _words("overdriven, gritty, distorted, saturated, loud, raw"),
    "8-bit": _words("8-bit, bitcrushed, retro console, low-bit, crunchy"),
}

SCENES: dict[str, tuple[str, ...]] = {
    "lo-fi": _words(
        "rainy night, study session, coffee shop, late night, sunday morning, for studying"
    ),
    "jazz": _words(
        "smoky bar, late night club, in a small club, dinner music, midnight in the city"
    ),
    "rock": _words("on the open road, live on stage, garage band"),
    "ambient": _words(
        "deep space, morning mist, underwater, for sleep, for meditation, floating in space"
    ),
    "classical": _words("recital, in a quiet room, candlelight"),
    "folk": _words("by the campfire, in the countryside, autumn leaves, around a fire"),
    "country": _words("on the porch, dusty road, barn dance"),
    "chiptune": _words("boss battle, level one, platformer, arcade, title screen"),
    "funk": _words("dance party, street party, seventies cop show"),
    "disco": _words("dance floor, roller rink, studio 54"),
    "house": _words("beach club, summer party, night club, rooftop party"),
    "techno": _words("warehouse rave, berlin club, underground club, at 3 am"),
    "trance": _words("festival main stage, sunrise, hands in the air"),
    "reggae": _words("on the beach, island vibes, summer afternoon"),
    "bossa nova": _words("on the beach in Rio, summer evening, cafe, cocktail lounge"),
    "synthwave": _words("night drive, neon city, 80s movie, driving at night, sunset"),
    "cinematic": _words("opening scene, final battle, film trailer, journey home, vast landscape"),
    "hip-hop": _words("street corner, city at night, block party"),
    "trap": _words("late night drive, in the city"),
    "waltz": _words("ballroom, paris cafe, carousel, old ballroom"),
    "latin": _words("street festival, havana night, carnival"),
    "pop": _words("summer, commercial, feel-good, background for a video, youtube intro"),
    "soul": _words("sunday morning, candlelight, late night"),
    "blues": _words("smoky bar, roadhouse, down south"),
    "metal": _words("mosh pit, battle, into the fire"),
    "baroque": _words("at court, in a palace, chapel"),
    "chamber": _words("in a salon, wedding, concert hall"),
}

TEMPO_WORDS: tuple[tuple[float, float, tuple[str, ...]], ...] = (
    (0, 76, _words("slow, very slow, slow tempo, unhurried, slow-paced")),
    (76, 92, _words("slow, laid-back tempo, relaxed tempo, slow-ish, downtempo")),
    (92, 116, _words("mid-tempo, moderate tempo, medium tempo, steady, walking pace")),
    (116, 134, _words("upbeat, lively, moderately fast, up-tempo, brisk")),
    (134, 156, _words("fast, up-tempo, quick, fast-paced, upbeat")),
    (156, 999, _words("very fast, fast, frantic, rapid, high tempo, fast-paced")),
)

MODE_WORDS = {
    "major": _words("happy, bright, uplifting, cheerful, hopeful, sunny, positive, joyful, light"),
    "minor": _words(
        "sad, dark, melancholic, moody, emotional, somber, serious, brooding, mysterious"
    ),
}

DENSITY_WORDS = {
    "sparse": _words("sparse, minimal, simple, minimalist, stripped-down, quiet"),
    "dense": _words("busy, dense, rich, intricate, full, complex"),
}

ALONE = (
    "solo {x}",
    "{x} solo",
    "{x} only",
    "only {x}",
    "{x} alone",
    "unaccompanied {x}",
    "just {x}",
    "just a {x}",
    "nothing but {x}",
    "{x} by itself",
    "a single {x}",
    "isolated {x}",
    "{x}, no other instruments",
    "solo {x} performance",
    "{x} track only",
    "{x} stem",
    "a lone {x}",
    "{x} unaccompanied",
)

# How people call what they want to hear, by the family of an instrument; the rest has no word here.
CHARACTER_WORDS: dict[str, tuple[str, ...]] = {
    "piano": _words("soft, gentle, delicate, emotional, mellow, expressive, flowing, simple"),
    "electric piano": _words("mellow, smooth, warm, dreamy, soft, jazzy"),
    "guitar": _words("strummed, gentle, warm, soft, fingerpicked, bright, mellow, rhythmic"),
    "electric guitar": _words(
        "loud, powerful, screaming, twangy, bluesy, big, energetic, rhythmic"
    ),
    "sax": _words("smooth, soulful, sultry, powerful, bluesy, jazzy, groovy"),
    "trumpet": _words("bold, bright, powerful, soulful, heroic"),
    "brass": _words("bold, powerful, epic, punchy, heroic, funky"),
    "synth lead": _words("retro, vibrant, melodic, catchy, pulsing, big, futuristic, bright"),
    "synth pluck": _words("retro, vibrant, sparkling, pulsing, catchy"),
    "synth pad": _words("ethereal, airy, dreamy, lush, soothing, floating, warm"),
    "choir": _words("ethereal, epic, heavenly, haunting"),
    "strings": _words("soaring, sweeping, lush, dramatic, emotional, orchestral"),
    "violin": _words("soaring, emotional, expressive, haunting"),
    "cello": _words("deep, emotional, expressive, haunting"),
    "flute": _words("light, airy, gentle, breathy, delicate"),
    "woodwind": _words("gentle, warm, expressive, light"),
    "organ": _words("powerful, vintage, soulful, big"),
    "mallets": _words("sparkling, delicate, light, tropical"),
    "music box": _words("sparkling, delicate, magical"),
    "harp": _words("delicate, flowing, magical"),
    "chiptune": _words("retro, catchy, playful, old-school"),
    "bass": _words("deep, groovy, strong, heavy, punchy, funky, booming, driving"),
    "drums": _words("punchy, loud, heavy, driving, energetic, tight, hard-hitting, steady"),
}

# What an instrument plays, behind its name.
FIGURE_WORDS: dict[str, tuple[str, ...]] = {
    "melody": _words("melody, melodies, lead, lines, licks, hooks, theme"),
    "chords": _words("chords, harmonies, chord progression"),
    "arpeggio": _words("arpeggios, patterns"),
    "bass": _words("line, lines, groove"),
}

ERAS = _words("80s, 90s, 70s, 60s, 2000s, modern, old-school, vintage, contemporary, retro")

# What people add that no music can be measured by.
REMARKS = _words(
    "perfect for a podcast intro; perfect for a commercial; ideal for relaxing; for a vlog;"
    "for a video game; with catchy melodies; with rich harmonies; with a catchy melody;"
    "with a memorable hook; a sense of adventure; full of energy; full of emotion;"
    "that tells a story; with a strong groove; high quality production; instrumental;"
    "no vocals; evoking a journey; evoking nostalgia; inspiring and motivational;"
    "great atmosphere; with intricate rhythms; that builds up slowly; royalty free;"
    "background music; with a steady rhythm; well produced; with subtle textures;"
    "like a film score; for dancing; with heartfelt melodies; with a dreamy atmosphere",
    ";",
)
