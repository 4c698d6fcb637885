"""What every codec has in common: codes in as they are made, sound out as soon as it is final.

Sound is made in pieces whose concatenation equals decoding everything at once. What a convolution
makes of a frame depends on a bounded number of frames to each side, so each piece is computed
with that many frames of context around it; a state that only looks back is carried on. Nothing that
was decoded once is decoded again but for the context, and memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cadenza.errors import AudioError
from cadenza.types import Audio, Codes, FloatArray, IntArray

DECODE_FRAMES = 500  # how many frames a whole decoding takes at a time: 10 s of the 32 kHz codecs

Array = NDArray[Any]


class Stage(Protocol):
    """Takes a sequence ``[..., T]`` in pieces and returns what has become final of its own."""

    def push(self, piece: Array) -> Array | None: ...
    def flush(self) -> Array | None: ...


class StreamingCodec(Protocol):
    """A codec: codes ``[K, T]`` ↔ sound ``[C, N]``, ``N = T * hop``.

    A stereo model holds a mono codec that runs once per channel; its codebooks are interleaved
    left, right, left, right (``MusicgenForConditionalGeneration.generate`` does the same).
    """

    channels: int
    rate: int  # hertz
    hop: int  # samples a frame
    frame_rate: float
    codebooks: int
    codebook_size: int

    def encode(self, audio: Audio) -> Codes:
        """The codes ``[K, ceil(N / hop)]`` of a sound ``[C, N]``.

        Raises:
            AudioError: another sampling rate or number of channels than the codec's.
        """
        ...

    def stages(self) -> Stage:
        """Fresh stages from ids ``[C, K / C, n]`` to samples ``[C, 1, ·]``."""
        ...

    def decode(self, codes: Codes) -> Audio:
        """The sound of ``codes [K, T]``: ``[C, T * hop]``. Memory is that of ten seconds.

        Raises:
            AudioError: codes of another codec (their number, or an id outside the codebooks).
        """
        stream = self.stream()
        starts = range(0, codes.frames, DECODE_FRAMES)
        pieces = [stream.push(codes.ids[:, t : t + DECODE_FRAMES]) for t in starts]
        pieces.append(stream.flush())
        return Audio(np.concatenate([piece.samples for piece in pieces], axis=1), self.rate)

    def stream(self) -> CodecStream:
        """A new stream; any number may run beside each other."""
        return CodecStream(self)


class CodecStream:
    """Codes in as they are made, sound out.

    The last few frames wait for their right context, so a piece may come back shorter than what
    was pushed, or empty; :meth:`flush` ends the stream and returns the rest.
    """

    def __init__(self, codec: StreamingCodec) -> None:
        self._codec, self._stages = codec, codec.stages()

    def push(self, ids: IntArray) -> Audio:
        """Take ``ids [K, n]``, return the samples ``[C, ·]`` that have become final.

        Raises:
            AudioError: ids of another codec.
        """
        codec = self._codec
        if ids.shape[0] != codec.codebooks:
            raise AudioError(
                f"the codes have {ids.shape[0]} codebooks, the codec has {codec.codebooks}"
            )
        if ids.size and not (ids.min() >= 0 and ids.max() < codec.codebook_size):
            raise AudioError(
                f"codes must be from 0 to {codec.codebook_size - 1}, not {ids.min()} to {ids.max()}"
            )
        rows = np.stack([ids[side :: codec.channels] for side in range(codec.channels)])
        return self._audio(self._stages.push(rows))

    def flush(self) -> Audio:
        """The samples ``[C, ·]`` that are still waiting. The stream is over."""
        return self._audio(self._stages.flush())

    def _audio(self, sound: Array | None) -> Audio:
        if sound is None:
            return Audio(np.zeros((self._codec.channels, 0), np.float32), self._codec.rate)
        return Audio(np.ascontiguousarray(sound[:, 0], dtype=np.float32), self._codec.rate)


class Windowed:
    """Runs a function of bounded context over a sequence ``[..., T]`` that comes in pieces.

    ``function`` makes ``hop`` outputs a frame, each from at most ``context`` frames to either
    side; how it pads its input then only shows at the true ends of the sequence.
    """

    def __init__(self, function: Callable[[Array], Array], *, context: int, hop: int) -> None:
        self._function, self._context, self._hop = function, context, hop
        self._held: Array | None = None  # ``_past`` finished frames, then those that wait
        self._past = 0

    def push(self, piece: Array) -> Array | None:
        held = piece if self._held is None else np.concatenate([self._held, piece], axis=-1)
        self._held = held
        end = held.shape[-1] - self._context  # of the frames that have all their context
        if end <= self._past:
            return None
        made = self._function(held)[..., self._past * self._hop : end * self._hop]
        start = max(0, end - self._context)
        self._held, self._past = held[..., start:].copy(), end - start
        return made

    def flush(self) -> Array | None:
        held, self._held = self._held, None
        if held is None or held.shape[-1] == self._past:
            return None
        return self._function(held)[..., self._past * self._hop :]


class Chain:
    """EnCodec's decoder as stages: codes to a convolution, an LSTM that looks back only, and the
    climb to samples.

    Source: ``EncodecDecoder`` of transformers' ``modeling_encodec.py``.

    Args:
        embed: ids ``[C, K / C, n]`` to vectors ``[C, D, n]``.
        inlet: the convolution.
        recur: the LSTM over ``[C, D, n]``; it keeps its state.
        climb: to samples ``[C, 1, n * hop]``.
    """

    def __init__(
        self,
        embed: Callable[[Array], Array],
        inlet: Windowed,
        recur: Callable[[Array], Array],
        climb: Windowed,
    ) -> None:
        self._embed, self._inlet, self._recur, self._climb = embed, inlet, recur, climb

    def push(self, piece: Array) -> Array | None:
        made = self._inlet.push(self._embed(piece))
        return None if made is None else self._climb.push(self._recur(made))

    def flush(self) -> Array | None:
        made = self._inlet.flush()
        if made is None:
            return None
        early, late = self._climb.push(self._recur(made)), self._climb.flush()
        return np.concatenate([part for part in (early, late) if part is not None], axis=-1)


def check_sound(codec: StreamingCodec, audio: Audio) -> FloatArray:
    """The samples of a sound that ``codec`` can encode.

    Raises:
        AudioError: another sampling rate or number of channels than the codec's.
    """
    if audio.rate != codec.rate or audio.channels != codec.channels:
        raise AudioError(
            f"the codec hears {codec.channels} channel(s) at {codec.rate} Hz, the sound has "
            f"{audio.channels} at {audio.rate} Hz: convert it first"
        )
    return audio.samples
