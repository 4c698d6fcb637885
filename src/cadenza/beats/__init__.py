"""What a musician hears first: tempo, beats, bars, key and tuning, from the sound alone.

Plain numpy: it needs no optional package and nothing is compiled when it is first used.
"""

from cadenza.beats.analysis import Analysis, analyse
from cadenza.beats.tonality import fit

__all__ = ["Analysis", "analyse", "fit"]
