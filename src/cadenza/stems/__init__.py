"""Sound to stems: drums, bass, vocals and what is left, as Demucs hears them.

::

    load_separator(name) ─► Separator ─┬─► separate(audio) ─► {name: Audio}
                                       └─► split(file, folder) ─► files, of any length
"""

from cadenza.stems.separation import MAX_SECONDS, Separator, load_separator, separate
from cadenza.stems.weights import MODELS

__all__ = ["MAX_SECONDS", "MODELS", "Separator", "load_separator", "separate"]
