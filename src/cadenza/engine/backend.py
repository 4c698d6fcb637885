"""What the engine asks of a back end. It speaks ids and conditioning only, all numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cadenza.engine.mix import Mix
from cadenza.types import Conditioning, FloatArray, IntArray, Sampling

# Below this width a step is so short that two threads gain little by sharing it, and on a busy
# machine lose fifty times as much waiting for each other.
MANY_THREADS_WIDTH = 512


@dataclass(frozen=True)
class Shape:
    """The numbers of a decoder that the engine needs."""

    vocabulary: int  # ids of a codebook, 0 to vocabulary - 1
    delays: tuple[int, ...]  # one a codebook, see cadenza.delay
    width: int  # features of a conditioning state
    cross_attention: bool  # conditioning is read by cross-attention, else fed as a prefix

    @property
    def codebooks(self) -> int:
        return len(self.delays)

    @property
    def special(self) -> int:
        """The id that stands where a codebook has no frame; it can be fed, never drawn."""
        return self.vocabulary


class Backend(Protocol):
    """Runs voices. A voice is one sequence being made, with everything that belongs to it alone:
    the mix of conditionings it listens to (see :mod:`cadenza.engine.mix`), caches, position and
    sampling settings. With guidance it is two rows.

    Keys and values of a conditioning are kept for the :class:`Conditioning` object, so that a mix
    whose weights alone have changed costs next to nothing.
    """

    @property
    def shape(self) -> Shape: ...

    def prefill(
        self,
        mix: Mix,
        unconditional: Conditioning | None,
        sampling: Sampling,
        columns: IntArray,
        capacity: int,
    ) -> int:
        """Open a voice and return its number.

        ``columns [K, n]`` are all known columns but the last (``n`` may be 0); they and the
        conditioning's prefix pass in one go. ``capacity`` is how many columns the voice will see
        in all. Without ``unconditional`` the voice is one row and has no guidance. Where
        conditioning is a prefix, ``mix`` has one part.
        """
        ...

    def steer(self, voice: int, mix: Mix, sampling: Sampling) -> None:
        """Let a voice listen to ``mix`` and draw by ``sampling`` from its next step on.

        What it has computed stays as it is, and so does its second row: a voice of two rows may
        get guidance 1, which then changes nothing, but one of a single row gets nothing above 1.
        A prefix cannot be changed: where conditioning is one, ``mix`` is that of the prefill.
        """
        ...

    def decode_one_step(
        self, voices: Sequence[int], columns: IntArray, noise: FloatArray | None
    ) -> IntArray:
        """Feed each of the ``N`` voices its next column and draw the one after it.

        ``columns [N, K]``; ``noise [N, K, V]`` is standard Gumbel, zeros for a greedy voice,
        ``None`` when all are greedy. Returns ids ``[N, K]``, special ids never among them.
        """
        ...

    def release(self, voice: int) -> None:
        """Close a voice and free what it held."""
        ...
