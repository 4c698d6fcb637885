"""Sound to notes, and notes to a MIDI file."""

from cadenza.midi.drums import transcribe_drums
from cadenza.midi.file import Track, check_tempo, encode, write
from cadenza.midi.grid import from_bar_one, quantise
from cadenza.midi.names import pitch_of, program_of
from cadenza.midi.pitched import BentNote, transcribe

__all__ = [
    "BentNote",
    "Track",
    "check_tempo",
    "encode",
    "from_bar_one",
    "pitch_of",
    "program_of",
    "quantise",
    "transcribe",
    "transcribe_drums",
    "write",
]
