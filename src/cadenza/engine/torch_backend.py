"""The reference back end: torch, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from cadenza.delay import delays_of
from cadenza.engine.backend import MANY_THREADS_WIDTH, Shape
from cadenza.engine.decoder import Decoder
from cadenza.engine.mix import Mix, alone, log_weights, parts_of
from cadenza.engine.voice import BLOCK, Prefill, Step, Voice
from cadenza.sampling import Sampler
from cadenza.types import Conditioning, FloatArray, IntArray, Sampling


class TorchBackend:
    """Runs the decoder of a ``MusicgenForCausalLM`` or ``MusicgenMelodyForCausalLM``.

    In float32 its greedy codes equal ``generate``'s. The weights are used as they are; those of
    products are packed (on CPUs) or joined (queries, keys and values) into tensors of their own,
    and no reference to ``decoder`` is kept: a caller short of memory may drop it.

    Per step: one transfer of columns to the device and one of the finished ids back, nothing else
    waits for the device, and no cache is allocated or moved.
    """

    def __init__(
        self,
        decoder: Any,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._device = torch.device(device)
        # CPUs attend faster in float32 than in half precision, and the cache is small there.
        self._cache_dtype = torch.float32 if self._device.type == "cpu" else dtype
        with torch.inference_mode():
            self._decoder = Decoder(decoder, self._device, dtype)
        self._shape = Shape(
            vocabulary=self._decoder.vocabulary,
            delays=delays_of(self._decoder.codebooks, decoder.config.audio_channels),
            width=self._decoder.width,
            cross_attention=self._decoder.cross_attention,
        )
        self._states: WeakKeyDictionary[Conditioning, list[Tensor]] = WeakKeyDictionary()
        self._voices: dict[int, Voice] = {}
        self._opened = 0
        self._chorus: _Chorus | None = None

    @property
    def shape(self) -> Shape:
        return self._shape

    @torch.inference_mode()
    def prefill(
        self,
        mix: Mix,
        unconditional: Conditioning | None,
        sampling: Sampling,
        columns: IntArray,
        capacity: int,
    ) -> int:
        """See :meth:`cadenza.engine.Backend.prefill`."""
        with self._threads():
            return self._prefill(mix, unconditional, sampling, columns, capacity)

    def _prefill(
        self,
        mix: Mix,
        unconditional: Conditioning | None,
        sampling: Sampling,
        columns: IntArray,
        capacity: int,
    ) -> int:
        states = [mix[0][0], *([] if unconditional is None else [unconditional])]
        longest = max(len(state.prefix) for state in states)
        self._decoder.reserve(longest + capacity)
        voice = self._open(states, sampling, longest + capacity)
        if self._shape.cross_attention:
            self._listen(voice, mix)
        length = longest + columns.shape[1]
        if length:
            prefix = self._pad([state.prefix for state in states])
            ids = torch.from_numpy(np.ascontiguousarray(columns.T)).to(self._device)
            fed = self._decoder.embed(ids).expand(voice.rows, -1, -1)
            x = torch.cat([prefix, fed], dim=1).reshape(-1, self._shape.width)
            gaps = torch.tensor(voice.gaps, device=self._device)[:, None]
            positions = (torch.arange(length, device=self._device) - gaps).clamp_(min=0)
            self._decoder.forward(x, positions.reshape(-1), Prefill(voice, length))
        self._opened += 1
        self._voices[self._opened] = voice
        return self._opened

    @torch.inference_mode()
    def steer(self, voice: int, mix: Mix, sampling: Sampling) -> None:
        """See :meth:`cadenza.engine.Backend.steer`."""
        steered = self._voices[voice]
        if self._shape.cross_attention:
            with self._threads():
                self._listen(steered, mix)
        if sampling != steered.sampling:
            steered.sampling = sampling
            self._chorus = None

    @torch.inference_mode()
    def decode_one_step(
        self, voices: Sequence[int], columns: IntArray, noise: FloatArray | None
    ) -> IntArray:
        """See :meth:`cadenza.engine.Backend.decode_one_step`."""
        with self._threads():
            return self._decode_one_step(voices, columns, noise)

    def _decode_one_step(
        self, voices: Sequence[int], columns: IntArray, noise: FloatArray | None
    ) -> IntArray:
        chorus = self._sing(voices)
        logits = self._logits(chorus, columns)
        gumbel = None if noise is None else torch.from_numpy(noise).to(self._device)
        drawn = chorus.sampler(logits[chorus.conditional], logits[chorus.unconditional], gumbel)
        result: IntArray = drawn.cpu().numpy()
        return result

    @torch.inference_mode()
    def logits(self, voices: Sequence[int], columns: IntArray) -> FloatArray:
        """Feed each voice its next column, as a step does, and draw nothing: to measure by.

        Returns ``[R, K, V]``, the rows of all voices in order: with the conditioning and, with
        guidance, without.
        """
        with self._threads():
            made: FloatArray = self._logits(self._sing(voices), columns).float().cpu().numpy()
        return made

    def _logits(self, chorus: _Chorus, columns: IntArray) -> Tensor:
        """``[R, K, V]`` after a column of each voice; ``R`` is the rows of all."""
        places = np.repeat([voice.place for voice in chorus.voices], chorus.rows)
        fed = np.column_stack([np.repeat(columns, chorus.rows, axis=0), places])
        inputs = torch.from_numpy(fed).to(self._device)
        ids, place = inputs[:, :-1], inputs[:, -1].contiguous()
        hidden = self._decoder.forward(
            self._decoder.embed(ids), place - chorus.gaps, Step(chorus.voices, place)
        )
        return self._decoder.logits(hidden)

    def release(self, voice: int) -> None:
        """See :meth:`cadenza.engine.Backend.release`."""
        del self._voices[voice]
        self._chorus = None

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Torch's number of threads, or one for a small decoder on a CPU."""
        before = torch.get_num_threads()
        if self._device.type == "cpu" and self._shape.width < MANY_THREADS_WIDTH:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _sing(self, numbers: Sequence[int]) -> _Chorus:
        if self._chorus is None or self._chorus.numbers != list(numbers):
            voices = [self._voices[number] for number in numbers]
            self._chorus = _Chorus(list(numbers), voices, self._shape.vocabulary, self._device)
        return self._chorus

    def _open(self, states: list[Conditioning], sampling: Sampling, places: int) -> Voice:
        """A voice whose caches are made and empty."""
        longest = max(len(state.prefix) for state in states)
        places = -(-places // BLOCK) * BLOCK
        rows, heads = len(states), self._decoder.heads
        cache = (rows, 2, heads, places, self._shape.width // heads)
        return Voice(
            sampling=sampling,
            gaps=tuple(longest - len(state.prefix) for state in states),
            caches=[self._zeros(*cache) for _ in range(self._decoder.layers)],
            mask=self._zeros(rows, 1, 1, places).fill_(-torch.inf),
            unconditional=states[1] if rows == 2 else None,
        )

    def _listen(self, voice: Voice, mix: Mix) -> None:
        """Point the voice's cross-attention at ``mix``, in its second row at ``unconditional``."""
        rows = [mix, *([] if voice.unconditional is None else [alone(voice.unconditional)])]
        parts = parts_of(rows)
        if parts != voice.parts:
            voice.parts, voice.cross = parts, self._joined(parts)
        scores = log_weights(rows)
        mask = torch.from_numpy(scores).to(device=self._device, dtype=self._cache_dtype)
        voice.cross_mask = mask if scores.any() else None

    def _joined(self, parts: list[list[Conditioning]]) -> list[Tensor]:
        """Keys and values of every row's parts behind each other, zeros in the rest of a row."""
        rows, heads = len(parts), self._decoder.heads
        lengths = [sum(len(part.cross) for part in row) for row in parts]
        shape = (rows, 2, heads, max(lengths), self._shape.width // heads)
        joined = [self._zeros(*shape) for _ in range(self._decoder.layers)]
        for row, (length, heard) in enumerate(zip(lengths, parts, strict=True)):
            states = zip(*(self._cross_states(part) for part in heard), strict=True)
            for layer, found in zip(joined, states, strict=True):
                layer[row, :, :, :length] = torch.cat(found, dim=2)
        return joined

    def _cross_states(self, conditioning: Conditioning) -> list[Tensor]:
        """Keys and values ``[2, H, S, h]`` a layer, computed once for a conditioning."""
        if conditioning not in self._states:
            states = torch.from_numpy(conditioning.cross)
            states = states.to(device=self._device, dtype=self._decoder.dtype)
            made = self._decoder.cross_states(states)
            self._states[conditioning] = [layer.to(self._cache_dtype) for layer in made]
        return self._states[conditioning]

    def _pad(self, prefixes: list[FloatArray]) -> Tensor:
        """Prefixes ``[P, D]`` of different length to one ``[R, P, D]``, zeros on the left."""
        longest = max(len(prefix) for prefix in prefixes)
        padded = np.zeros((len(prefixes), longest, self._shape.width), dtype=np.float32)
        for row, prefix in zip(padded, prefixes, strict=True):
            row[longest - len(prefix) :] = prefix
        return torch.from_numpy(padded).to(device=self._device, dtype=self._decoder.dtype)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self._cache_dtype, device=self._device)


class _Chorus:
    """What stays the same while the same voices step together."""

    def __init__(
        self, numbers: list[int], voices: list[Voice], vocabulary: int, device: torch.device
    ) -> None:
        self.numbers, self.voices = numbers, voices
        self.rows = [voice.rows for voice in voices]
        gaps = [gap for voice in voices for gap in voice.gaps]
        firsts = [sum(self.rows[:n]) for n in range(len(voices))]
        lasts = [first + rows - 1 for first, rows in zip(firsts, self.rows, strict=True)]
        self.gaps = torch.tensor(gaps, dtype=torch.int64, device=device)
        self.conditional = torch.tensor(firsts, dtype=torch.int64, device=device)
        self.unconditional = torch.tensor(lasts, dtype=torch.int64, device=device)
        self.sampler = Sampler([voice.sampling for voice in voices], vocabulary, device)
