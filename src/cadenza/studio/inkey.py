"""A take brought to the key that its prompt names.

A model plays in the right mode more often than on the right tonic. A take that a critic is sure of
is moved there by a semitone or two, as a sampler does: run faster or slower like a tape, and
stretched back.
"""

from __future__ import annotations

from cadenza.studio.align import tuned_by
from cadenza.studio.critic import Critic
from cadenza.studio.stretch import stretch
from cadenza.types import Audio, Codes, Key


def in_key(audio: Audio, codes: Codes, key: Key, critic: Critic) -> Audio:
    """A sound in ``key``, as long as it was, by what ``critic`` hears in its ``codes``.

    What is too far from it, and what no key is heard in for sure, stays where it is.
    """
    semitones = critic.transposition(codes, key)
    if semitones == 0:
        return audio
    moved = tuned_by(audio, 100 * semitones)
    return stretch(moved, audio.samples.shape[1] / moved.samples.shape[1])
