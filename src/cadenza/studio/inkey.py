"""A prompt read so that the key it names counts more than the other words.

A model takes the style from a prompt, and of the key little. What the key is to it are the
differences between the prompt's states and those of the same prompt in other keys; they are added
once more. That costs a few readings of the text and nothing while the music is made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cadenza.types import Conditioning, FloatArray


def stressed(own: Conditioning, others: Sequence[Conditioning]) -> Conditioning:
    """``own`` away from the mean of ``others``, by as much as it lies from it.

    States stand beside each other only where there are as many: others of another length are left
    out, and without any, ``own`` stays as it is.
    """
    shapes = [(other.cross.shape, other.prefix.shape) for other in (own, *others)]
    alike = [other for other, shape in zip(others, shapes[1:], strict=True) if shape == shapes[0]]
    if not alike:
        return own
    return Conditioning(
        cross=_away(own.cross, [other.cross for other in alike]),
        prefix=_away(own.prefix, [other.prefix for other in alike]),
    )


def _away(own: FloatArray, others: Sequence[FloatArray]) -> FloatArray:
    return 2 * own - np.mean(others, axis=0, dtype=np.float32)
