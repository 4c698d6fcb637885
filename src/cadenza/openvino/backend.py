"""The fast back end on CPUs: :mod:`cadenza.openvino.decoder`'s graph, stepped on numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cadenza.delay import delays_of
from cadenza.engine import MANY_THREADS_WIDTH, Mix, Shape, alone, log_weights, parts_of
from cadenza.openvino.decoder import PAGE, cross_graph, decoder_graph, positions
from cadenza.openvino.pages import Pages
from cadenza.openvino.runtime import compiled, openvino
from cadenza.openvino.sampling import draw
from cadenza.openvino.weights import Weights
from cadenza.types import Conditioning, FloatArray, IntArray, Sampling


@dataclass(frozen=True)
class DecoderSizes:
    """What the graph is built by; kept beside the weights."""

    layers: int
    width: int
    heads: int
    codebooks: int
    vocabulary: int
    channels: int


@dataclass
class _Row:
    """One sequence: its pages and how many of their places are written."""

    pages: IntArray
    length: int = 0


@dataclass
class _Voice:
    rows: list[_Row]  # with the conditioning and, with guidance, without
    sampling: Sampling
    mix: Mix
    unconditional: Conditioning | None

    def heard(self) -> list[Mix]:
        """What each row listens to."""
        return [self.mix, *([] if self.unconditional is None else [alone(self.unconditional)])]


class OpenVINOBackend:
    """Runs the decoder in fp32, bf16, or with weights of 8 or 4 bits, on any CPU OpenVINO knows.

    Args:
        weights: of :func:`decoder_weights`; kept as they are, usually mapped from a file.
        precision: that they were made for.
    """

    def __init__(self, weights: Weights, sizes: DecoderSizes, precision: str) -> None:
        self._sizes = sizes
        self._weights = weights  # the graphs' constants lie in them
        self._shape = Shape(
            vocabulary=sizes.vocabulary,
            delays=delays_of(sizes.codebooks, sizes.channels),
            width=sizes.width,
            cross_attention="0.cross.norm" in weights,
        )
        size = (sizes.layers, sizes.width, sizes.heads)
        threads = 1 if sizes.width < MANY_THREADS_WIDTH else None
        decoder = compiled(decoder_graph(weights, *size), precision, threads=threads)
        # Two requests on one graph: a step keeps its inputs while voices are opened.
        self._step, self._prefill = decoder.create_infer_request(), decoder.create_infer_request()
        self._pages = Pages(decoder)
        self._cross = None
        if self._shape.cross_attention:
            cross = compiled(cross_graph(weights, *size), precision, threads=threads)
            self._cross = cross.create_infer_request()
        self._table = weights["embedding"]
        self._positions = positions(0, 2048, sizes.width)
        self._voices: dict[int, _Voice] = {}
        self._opened = 0
        self._heard: dict[Conditioning, list[FloatArray]] = {}  # keys and values, all layers
        self._stepping: list[Mix] = []  # what the step's rows listen to

    @property
    def shape(self) -> Shape:
        return self._shape

    def warm_up(self, conditioning: Conditioning) -> None:
        """Take a step: the runtime arranges the weights in the first one."""
        voice = self.prefill(
            alone(conditioning),
            None,
            Sampling(temperature=0, guidance=1),
            np.empty((self._sizes.codebooks, 0), dtype=np.int64),
            capacity=1,
        )
        column = np.full((1, self._sizes.codebooks), self._shape.special)
        self.decode_one_step([voice], column, None)
        self.release(voice)

    def prefill(
        self,
        mix: Mix,
        unconditional: Conditioning | None,
        sampling: Sampling,
        columns: IntArray,
        capacity: int,
    ) -> int:
        """See :meth:`cadenza.engine.Backend.prefill`."""
        states = [mix[0][0], *([] if unconditional is None else [unconditional])]
        before = self._pages.count
        rows = [_Row(self._pages.take(len(state.prefix) + capacity)) for state in states]
        if self._pages.count != before:
            for request in (self._step, self._prefill):
                for name, tensor in self._pages.tensors.items():
                    request.set_tensor(name, tensor)
        longest = max(len(state.prefix) for state in states) + capacity
        if longest > len(self._positions):
            self._positions = positions(0, longest, self._sizes.width)
        voice = _Voice(rows, sampling, mix, unconditional)
        fed = self._embed(columns.T)
        embedded = [np.concatenate([state.prefix, fed]) for state in states]
        if len(embedded[0]):
            if self._cross is not None:
                self._listen(self._prefill, voice.heard())
            self._run(self._prefill, rows, embedded, np.zeros(1, dtype=np.int32))
        self._opened += 1
        self._voices[self._opened] = voice
        return self._opened

    def steer(self, voice: int, mix: Mix, sampling: Sampling) -> None:
        """See :meth:`cadenza.engine.Backend.steer`."""
        steered = self._voices[voice]
        steered.mix, steered.sampling = mix, sampling

    def decode_one_step(
        self, voices: Sequence[int], columns: IntArray, noise: FloatArray | None
    ) -> IntArray:
        """See :meth:`cadenza.engine.Backend.decode_one_step`."""
        playing = [self._voices[number] for number in voices]
        logits = self.logits(voices, columns)
        lasts = np.cumsum([len(voice.rows) for voice in playing]) - 1
        drawn = [
            draw(
                logits[last - len(voice.rows) + 1],
                logits[last],
                None if noise is None else noise[n],
                voice.sampling,
            )
            for n, (last, voice) in enumerate(zip(lasts, playing, strict=True))
        ]
        return np.stack(drawn)

    def logits(self, voices: Sequence[int], columns: IntArray) -> FloatArray:
        """Feed each voice its next column, as a step does, and draw nothing: to measure by.

        Returns ``[R, K, V]``, the rows of all voices in order: with the conditioning and, with
        guidance, without.
        """
        playing = [self._voices[number] for number in voices]
        counts = [len(voice.rows) for voice in playing]
        heard = [mix for voice in playing for mix in voice.heard()]
        if self._cross is not None and heard != self._stepping:
            self._listen(self._step, heard, self._stepping)
            self._stepping = heard
        rows = [row for voice in playing for row in voice.rows]
        embedded = np.repeat(self._embed(columns), counts, axis=0)
        wanted = np.arange(len(rows), dtype=np.int32)
        logits = self._run(self._step, rows, list(embedded[:, None]), wanted)
        # A copy, for the next step is written over it.
        return logits.reshape(len(rows), self._sizes.codebooks, self._sizes.vocabulary).copy()

    def release(self, voice: int) -> None:
        """See :meth:`cadenza.engine.Backend.release`."""
        for row in self._voices.pop(voice).rows:
            self._pages.give_back(row.pages)
        wanted = {part for v in self._voices.values() for mix in v.heard() for part, _ in mix}
        self._heard = {part: states for part, states in self._heard.items() if part in wanted}

    def _embed(self, columns: IntArray) -> FloatArray:
        """Columns ``[M, K]`` to ``[M, D]``, positions not included."""
        books = np.arange(self._sizes.codebooks)
        return np.asarray(self._table[books, columns].astype(np.float32).sum(axis=1))

    def _run(
        self, request: Any, rows: list[_Row], embedded: Sequence[FloatArray], wanted: Any
    ) -> FloatArray:
        """Write columns ``[n, D]`` behind each row; logits ``[W, K * V]`` of the wanted ones."""
        past = np.array([row.length for row in rows], dtype=np.int32)
        begins = np.zeros(len(rows) + 1, dtype=np.int32)
        np.cumsum([len(columns) for columns in embedded], out=begins[1:])
        placed = [
            columns + self._positions[row.length : row.length + len(columns)]
            for row, columns in zip(rows, embedded, strict=True)
        ]
        for row, columns in zip(rows, embedded, strict=True):
            row.length += len(columns)
        used = [row.pages[: -(-row.length // PAGE)] for row in rows]
        page_begins = np.zeros(len(rows) + 1, dtype=np.int32)
        np.cumsum([len(pages) for pages in used], out=page_begins[1:])
        inputs = {
            "embedded": np.concatenate(placed),
            "wanted": wanted,
            "past_lens": past,
            "subsequence_begins": begins,
            "block_indices": np.concatenate(used),
            "block_indices_begins": page_begins,
            "max_context_len": np.array(max(row.length for row in rows), dtype=np.int32),
        }
        for name, array in inputs.items():
            request.set_tensor(name, openvino().Tensor(array))
        request.infer()
        return np.asarray(request.get_output_tensor(0).data)

    def _listen(self, request: Any, heard: list[Mix], before: Sequence[Mix] = ()) -> None:
        """Point the cross-attention of a request, whose rows listened to ``before``, at ``heard``.

        Where weights alone have changed, as in a crossfade, that is a mask.
        """
        mask = log_weights(heard)
        request.set_tensor("cross_mask", openvino().Tensor(mask))
        parts = parts_of(heard)
        if parts == parts_of(before):
            return
        heads, size = self._sizes.heads, self._sizes.width // self._sizes.heads
        shape = (len(heard), heads, mask.shape[-1], size)
        joined = [np.zeros(shape, dtype=np.float32) for _ in range(2 * self._sizes.layers)]
        for row, mix in enumerate(parts):
            states = zip(*(self._states(part) for part in mix), strict=True)
            for array, found in zip(joined, states, strict=True):
                together = np.concatenate(found, axis=1)
                array[row, :, : together.shape[1]] = together
        for n in range(self._sizes.layers):
            request.set_tensor(f"cross_keys.{n}", openvino().Tensor(joined[2 * n]))
            request.set_tensor(f"cross_values.{n}", openvino().Tensor(joined[2 * n + 1]))

    def _states(self, conditioning: Conditioning) -> list[FloatArray]:
        """Keys and values ``[H, S, D / H]`` of every layer in turn, computed once."""
        assert self._cross is not None
        if conditioning not in self._heard:
            made = self._cross.infer({"states": conditioning.cross})
            names = [f"{k}.{n}" for n in range(self._sizes.layers) for k in ("keys", "values")]
            self._heard[conditioning] = [made[name][0].copy() for name in names]
        return self._heard[conditioning]
