"""T5's encoder and its projection as a graph, and the reader that runs it.

Source: ``T5Stack`` of transformers' ``modeling_t5.py`` (Raffel et al. 2020, arXiv:1910.10683):
pre-norm layers by root mean square, no biases, scores without scaling, one table of relative
positions for all layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cadenza.errors import ModelMismatch
from cadenza.openvino.graph import Graph, Node
from cadenza.openvino.runtime import compiled
from cadenza.openvino.weights import Array, Weights, as_array, product
from cadenza.tokens import MAX_TOKENS, check_tokens
from cadenza.types import FloatArray


def text_weights(model: Any, precision: str) -> Iterator[dict[str, Array]]:
    """The arrays of a checkpoint's text encoder and projection.

    What the decoder listens to should not depend much on the precision that a person chooses, so
    products keep 8 bits or more, the projection all of them.

    Raises:
        ModelMismatch: a feed-forward that there is no graph for.
    """
    fine = "int8" if precision == "int4" else precision
    config = model.text_encoder.config
    if config.feed_forward_proj not in ("relu", "gated-gelu"):
        raise ModelMismatch(
            f"the text encoder's feed-forward is {config.feed_forward_proj!r}, which OpenVINO's "
            "back end does not know: use --backend torch"
        )
    encoder = model.text_encoder.encoder
    table = as_array(model.text_encoder.shared.weight)
    yield {"table": table if precision == "fp32" else table.astype(np.float16)}
    yield {"relative": _relative_bias(encoder.block[0].layer[0].SelfAttention)}
    for number, block in enumerate(encoder.block):
        attention, feed = block.layer[0], block.layer[-1]
        heads, dense = attention.SelfAttention, feed.DenseReluDense
        yield {f"{number}.norm": as_array(attention.layer_norm.weight)}
        yield {f"{number}.feed.norm": as_array(feed.layer_norm.weight)}
        yield product(f"{number}.qkv", fine, heads.q, heads.k, heads.v)
        yield product(f"{number}.out", fine, heads.o)
        yield product(f"{number}.contract", fine, dense.wo)
        if hasattr(dense, "wi"):
            yield product(f"{number}.expand", fine, dense.wi)
        else:
            yield product(f"{number}.gate", fine, dense.wi_0)
            yield product(f"{number}.expand", fine, dense.wi_1)
    yield {"norm": as_array(encoder.final_layer_norm.weight)}
    projection = getattr(model, "enc_to_dec_proj", None)
    if projection is not None:
        yield {"project": as_array(projection.weight), "project.bias": as_array(projection.bias)}


def text_graph(weights: Weights, layers: int, heads: int, epsilon: float) -> Any:
    """Tokens ``ids [S]`` to ``states [S, D]``, projected to the decoder's width."""
    graph = Graph(weights)
    op = graph.op
    ids = graph.input("ids", [-1], "i64")
    x = op.gather(graph.weight("table"), ids, graph.constant(0))
    count = graph.length(ids, 0)
    end = op.squeeze(count, graph.constant([0]))
    steps = op.range(graph.constant(0), end, graph.constant(1), "i64")
    keys, queries = (op.unsqueeze(steps, graph.constant(axis)) for axis in (0, 1))
    apart = op.add(op.subtract(keys, queries), graph.constant(MAX_TOKENS - 1))
    bias = graph.transpose(op.gather(graph.weight("relative"), apart, graph.constant(0)), 2, 0, 1)
    for n in range(layers):
        qkv = graph.split(graph.linear(_root_norm(graph, x, f"{n}.norm", epsilon), f"{n}.qkv"), 3)
        q, k, v = (graph.transpose(graph.reshape(part, count, heads, -1), 1, 0, 2) for part in qkv)
        scores = op.softmax(op.add(op.matmul(q, k, False, True), bias), -1)
        heard = graph.transpose(op.matmul(scores, v, False, False), 1, 0, 2)
        x = op.add(x, graph.linear(graph.reshape(heard, count, -1), f"{n}.out"))
        fed = _root_norm(graph, x, f"{n}.feed.norm", epsilon)
        wide = graph.linear(fed, f"{n}.expand")
        if graph.has(f"{n}.gate"):
            wide = op.multiply(op.gelu(graph.linear(fed, f"{n}.gate"), "tanh"), wide)
        else:
            wide = op.relu(wide)
        x = op.add(x, graph.linear(wide, f"{n}.contract"))
    x = _root_norm(graph, x, "norm", epsilon)
    return graph.model(states=graph.linear(x, "project") if graph.has("project") else x)


class Reader:
    """Texts to states, without torch or transformers.

    Args:
        graph: of :func:`text_graph`.
        tokenizer: the checkpoint's ``tokenizer.json``.
        width: of the decoder.
    """

    def __init__(self, graph: Any, tokenizer: Path, width: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._request = compiled(graph).create_infer_request()
        self._width = width

    def read(self, text: str | None) -> FloatArray:
        """``[S, D]``, one state a token; ``None`` is one zero state (see :mod:`cadenza.states`).

        Raises:
            PromptError: a text of too many tokens.
        """
        if text is None:
            return np.zeros((1, self._width), dtype=np.float32)
        ids = np.array(self._tokenizer.encode(text).ids, dtype=np.int64)
        check_tokens(len(ids))
        return np.array(self._request.infer({"ids": ids})["states"])


def _root_norm(graph: Graph, x: Node, name: str, epsilon: float) -> Node:
    """Each row over its root mean square."""
    op = graph.op
    square = op.reduce_mean(op.multiply(x, x), graph.constant([-1]), True)
    root = op.sqrt(op.add(square, graph.constant(epsilon, np.float32)))
    return op.multiply(op.divide(x, root), graph.weight(name))


def _relative_bias(attention: Any) -> FloatArray:
    """``[2 * MAX_TOKENS - 1, H]``: what a score gets by how far the key is after the query."""
    import torch

    with torch.inference_mode():
        bias = attention.compute_bias(MAX_TOKENS, MAX_TOKENS)[0]  # [H, queries, keys]
        # The last query sees all that lies before it, the first all that lies behind.
        return np.concatenate([as_array(bias[:, -1].T), as_array(bias[:, 0].T)[1:]])
