"""A text and a tune as one prefix: what the decoders of the melody family read.

Source: ``MusicgenMelodyForConditionalGeneration.generate`` of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cadenza.types import Audio, Conditioning, FloatArray

RATE = 32_000  # hertz that a tune is read at
PITCH_CLASSES = 12  # from C


class TuneConditioner:
    """Puts together what others compute.

    Args:
        read: a text to its states ``[S, D]``, or to those of no text.
        project: chroma ``[P, 12]`` to states ``[P, D]``.
        chroma: a tune at ``RATE`` to its chroma.
        length: how many frames of chroma the model was trained with.
    """

    def __init__(
        self,
        read: Callable[[str | None], FloatArray],
        project: Callable[[FloatArray], FloatArray],
        chroma: Callable[[Audio], FloatArray],
        length: int,
    ) -> None:
        self._read, self._project, self._chroma, self._length = read, project, chroma, length

    def encode(
        self, texts: Sequence[str | None], melodies: Sequence[Audio | None]
    ) -> list[Conditioning]:
        """One conditioning per text and melody, either of which may be ``None``.

        ``prefix [length + S, D]`` holds the melody, repeated until it fills its place, and then
        the text.

        Raises:
            AudioError: a melody that cannot be read.
        """
        return [
            self._conditioning(self._read(text), melody)
            for text, melody in zip(texts, melodies, strict=True)
        ]

    def unconditional(self, conditional: Conditioning) -> Conditioning:
        """What guidance sets against ``conditional``: no melody, and zeros for each text state.

        As many zeros as there are text states: these models attend to all of the prefix, so its
        length matters.
        """
        text = conditional.prefix[self._length :]
        return self._conditioning(np.zeros_like(text), None)

    def _conditioning(self, text: FloatArray, melody: Audio | None) -> Conditioning:
        # No melody is one long C, in the reference and in training.
        silent = np.eye(1, PITCH_CLASSES, dtype=np.float32)
        features = silent if melody is None else self._chroma(melody)
        features = np.resize(features, (self._length, PITCH_CLASSES))
        prefix = np.concatenate([self._project(features), text])
        return Conditioning(cross=prefix[:0], prefix=prefix)
