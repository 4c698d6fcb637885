"""Sound to notes, and notes to a MIDI file."""

from cadenza.midi.drums import transcribe_drums
from cadenza.midi.file import Track, encode, write
from cadenza.midi.grid import quantise
from cadenza.midi.pitched import BentNote, transcribe

__all__ = [
    "BentNote",
    "Track",
    "encode",
    "quantise",
    "transcribe",
    "transcribe_drums",
    "write",
]
