"""Codecs as graphs: EnCodec's decoder and that of nano's frame codec, streamed by numpy.

Encoding is rare (a sound to go on from) and stays with transformers: see ``encoder``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from cadenza.codecstream import Array, Chain, Stage, StreamingCodec, Windowed
from cadenza.errors import ModelMismatch
from cadenza.openvino.graph import Graph, Node
from cadenza.openvino.runtime import compiled
from cadenza.openvino.weights import Weights
from cadenza.types import Audio, Codes, FloatArray

Plan = list[dict[str, Any]]  # layers in order, plain values that go into JSON


@dataclass(frozen=True)
class CodecSizes:
    """What the graphs are built by; kept beside the weights."""

    kind: str  # encodec or frame
    rate: int
    hop: int
    codebooks: int  # of one channel
    codebook_size: int
    inlet_context: int  # frames; 0 in the frame codec
    context: int
    inlet: Plan
    climb: Plan
    lstm_layers: int = 0
    synthesis_fft: int = 0


class OpenVINOCodec(StreamingCodec):
    """A codec that decodes without torch.

    Args:
        weights: of :func:`cadenza.openvino.codecweights.codec_weights`.
        encoder: loads the codec that encodes, when it is first needed.
        precision: ``fp32`` or ``bf16``.
    """

    def __init__(
        self,
        weights: Weights,
        sizes: CodecSizes,
        channels: int,
        encoder: Callable[[], StreamingCodec],
        precision: str,
    ) -> None:
        self.channels = channels
        self.rate, self.hop = sizes.rate, sizes.hop
        self.frame_rate = sizes.rate / sizes.hop
        self.codebooks, self.codebook_size = sizes.codebooks * channels, sizes.codebook_size
        self._weights, self._sizes, self._encoder = weights, sizes, cache(encoder)
        if sizes.kind == "frame":
            self._network = compiled(frame_graph(weights, sizes.climb), precision)
        else:
            self._inlet = compiled(convolutions(weights, sizes.inlet), precision)
            self._lstm = compiled(lstm_graph(weights, sizes.lstm_layers), precision)
            self._climb = compiled(convolutions(weights, sizes.climb), precision)

    def encode(self, audio: Audio) -> Codes:
        return self._encoder().encode(audio)

    def stages(self) -> Stage:
        sizes = self._sizes
        if sizes.kind == "frame":
            run = _runner(self._network)
            return Windowed(
                lambda ids: self._synthesise(run(self._embed(ids))),
                context=sizes.context,
                hop=sizes.hop,
            )
        inlet = _runner(self._inlet)
        # The reference fills what is too short to be mirrored with zeros, and cuts them off again.
        least = sizes.inlet_context + 1

        def padded(x: Array) -> Array:
            count = x.shape[-1]
            fill = max(0, least - count)
            return inlet(np.pad(x, ((0, 0), (0, 0), (0, fill))))[..., :count]

        return Chain(
            self._embed,
            Windowed(padded, context=sizes.inlet_context, hop=1),
            _Recurrent(self._lstm, sizes.lstm_layers).push,
            Windowed(_runner(self._climb), context=sizes.context, hop=sizes.hop),
        )

    def _embed(self, ids: Array) -> Array:
        """Ids ``[C, K / C, n]`` to the sums of their vectors ``[C, D, n]``."""
        books = np.arange(ids.shape[1])[:, None]
        vectors = self._weights["codebooks"][books, ids].sum(axis=1)  # [C, n, D]
        return np.ascontiguousarray(vectors.transpose(0, 2, 1))

    def _synthesise(self, spectrum: FloatArray) -> Array:
        """``[C, n, fft + 2]`` of log magnitudes and phases to ``[C, 1, n * hop]``.

        Source: ``FrameCodecModel.synthesise``.
        """
        fft, hop, frames = self._sizes.synthesis_fft, self.hop, spectrum.shape[1]
        magnitude, phase = np.split(spectrum, 2, axis=-1)
        loud = np.exp(np.minimum(magnitude, 6))
        bins = np.empty(magnitude.shape, dtype=np.complex64)
        bins.real, bins.imag = loud * np.cos(phase), loud * np.sin(phase)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft, dtype=np.float32) / fft)
        window = window.astype(np.float32)
        pieces = np.fft.irfft(bins, fft, norm="ortho").astype(np.float32) * window
        length = (frames - 1) * hop + fft
        sound = np.zeros((len(spectrum), length), dtype=np.float32)
        weight = np.zeros(length, dtype=np.float32)
        for frame in range(frames):
            sound[:, frame * hop : frame * hop + fft] += pieces[:, frame]
            weight[frame * hop : frame * hop + fft] += window * window
        margin = (fft - hop) // 2
        inside = slice(margin, margin + frames * hop)
        return np.asarray((sound[:, inside] / np.maximum(weight[inside], 1e-6))[:, None])


class _Recurrent:
    """The residual LSTM over ``[C, D, n]``, going on from where it was."""

    def __init__(self, network: Any, layers: int) -> None:
        self._request, self._layers = network.create_infer_request(), layers
        self._state: dict[str, Array] = {}

    def push(self, x: Array) -> Array:
        inputs = {"x": np.ascontiguousarray(x.transpose(0, 2, 1))}
        if not self._state:
            nothing = np.zeros((len(x), 1, x.shape[1]), dtype=np.float32)
            self._state = {f"{k}{n}": nothing for n in range(self._layers) for k in "hc"}
        made = self._request.infer(inputs | self._state)
        self._state = {name: np.array(made[f"{name}_out"]) for name in self._state}
        return np.asarray(made["y"]).transpose(0, 2, 1).copy()


def convolutions(weights: Weights, plan: Plan) -> Any:
    """``x [C, D, n]`` through the layers of ``plan`` to ``y``."""
    graph = Graph(weights)
    x = graph.input("x", [-1, _inputs(weights, plan), -1])
    return graph.model(y=_through(graph, x, plan))


def lstm_graph(weights: Weights, layers: int) -> Any:
    """``x [C, n, D]`` to ``y [C, n, D]``, the input added; states ``hN`` and ``cN [C, 1, D]``."""
    graph, op = Graph(weights), Graph(weights).op
    width = weights["lstm.0.recurrent"].shape[-1]
    x = y = graph.input("x", [-1, -1, width])
    batch, count = graph.length(x, 0), graph.length(x, 1)
    lengths = op.broadcast(count, batch)
    results: dict[str, Node] = {}
    for n in range(layers):
        state = [graph.input(f"{kind}{n}", [-1, 1, width]) for kind in "hc"]
        names = [f"lstm.{n}.{part}" for part in ("input", "recurrent", "bias")]
        made = op.lstm_sequence(
            y, *state, lengths, *(graph.weight(name) for name in names), width, "forward"
        )
        y = op.squeeze(made.output(0), graph.constant([1]))
        results |= {f"h{n}_out": made.output(1), f"c{n}_out": made.output(2)}
    return graph.model(y=op.add(x, y), **results)


def frame_graph(weights: Weights, plan: Plan) -> Any:
    """The backbone of a ``FrameCodecModel``'s decoder: ``x [C, D, n]`` to ``y [C, n, fft + 2]``."""
    graph, op = Graph(weights), Graph(weights).op
    (inlet, *blocks) = plan
    x = graph.input("x", [-1, _inputs(weights, plan), -1])
    x = graph.norm(graph.transpose(_through(graph, x, [inlet]), 0, 2, 1), "inlet.norm")
    for block in blocks:
        name = block["name"]
        mixed = _through(graph, graph.transpose(x, 0, 2, 1), [block])
        y = graph.norm(graph.transpose(mixed, 0, 2, 1), f"{name}.norm")
        y = graph.linear(op.gelu(graph.linear(y, f"{name}.up"), "erf"), f"{name}.down")
        x = op.add(x, op.multiply(y, graph.weight(f"{name}.scale")))
    return graph.model(y=graph.linear(graph.norm(x, "outlet.norm"), "outlet"))


def _through(graph: Graph, x: Node, plan: Plan) -> Node:
    op = graph.op
    for layer in plan:
        kind = layer["kind"]
        if kind == "elu":
            x = op.elu(x, layer["alpha"])
        elif kind == "residual":
            around = _through(graph, x, layer["shortcut"])
            x = op.add(around, _through(graph, x, layer["block"]))
        elif kind == "up":
            step, name = [layer["stride"]], layer["name"]
            made = op.convolution_backprop_data(
                x, graph.weight(name), step, None, [layer["left"]], [layer["right"]], [1]
            )
            x = op.add(made, graph.weight(f"{name}.bias"))
        elif kind == "convolution":
            x = _convolution(graph, x, layer)
        else:
            raise ModelMismatch(f"a codec with layers of kind {kind!r} is unknown")
    return x


def _convolution(graph: Graph, x: Node, layer: dict[str, Any]) -> Node:
    op, name = graph.op, layer["name"]
    left, right = layer["left"], layer["right"]
    mirrored = layer["mode"] == "reflect" and left + right > 0
    if mirrored:
        begin, end = graph.constant([0, 0, left]), graph.constant([0, 0, right])
        x, left, right = op.pad(x, begin, end, "reflect"), 0, 0
    shape = ([1], [left], [right], [layer["dilation"]])
    if layer["groups"] == 1:
        made = op.convolution(x, graph.weight(name), *shape)
    else:
        made = op.group_convolution(x, graph.weight(name), *shape)
    return op.add(made, graph.weight(f"{name}.bias"))


def _inputs(weights: Weights, plan: Plan) -> int:
    """How many channels the first layer with weights takes."""
    first = next(layer for layer in plan if "name" in layer)
    shape = weights[first["name"]].shape
    return int(shape[0] if first["kind"] == "up" else shape[1])


def _runner(network: Any) -> Callable[[Array], Array]:
    request = network.create_infer_request()
    return lambda x: np.array(request.infer({"x": np.ascontiguousarray(x)})["y"])
