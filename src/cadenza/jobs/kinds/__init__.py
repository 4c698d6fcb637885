"""What can be asked for: every kind of job, its request and what makes it.

To add one: a module here with a request (:func:`cadenza.jobs.asking.asked` makes it from the
library's own), a function that works on it, and a line below. Server, worker, client, page and
documentation follow.
"""

from cadenza.jobs.kinds import band, generate, loop, midi, mix, remake, split
from cadenza.jobs.kinds.kind import Kind, Work

KINDS: dict[str, Kind] = {
    "generate": generate.KIND,
    "band": band.KIND,
    "mix": mix.KIND,
    "remake": remake.KIND,
    "loop": loop.KIND,
    "midi": midi.KIND,
    "split": split.KIND,
}

__all__ = ["KINDS", "Kind", "Work"]
