"""MusicGen's decoder as a graph: embedded columns in, logits out, keys and values in pages.

The forward pass is :mod:`cadenza.engine.decoder`'s. Self-attention is the runtime's paged attention
(Kwon et al. 2023, arXiv:2309.06180): every row has its own length and its own list of pages of
``PAGE`` places, so rows of any age share a step, and a prefill is the same graph with more columns.
Embedding is left to the caller, because a melody enters as states.

Shapes: ``M`` columns of all rows one after another, ``R`` rows, ``D`` width, ``H`` heads,
``K`` codebooks, ``V`` vocabulary, ``S`` conditioning states.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cadenza.errors import ModelMismatch
from cadenza.openvino.graph import Graph, Node
from cadenza.openvino.runtime import paged_attention
from cadenza.openvino.weights import Array, Weights, as_array, product
from cadenza.types import FloatArray

PAGE = 32  # places, given by the runtime


def decoder_weights(model: Any, precision: str) -> Iterator[dict[str, Array]]:
    """The arrays of a ``MusicgenForCausalLM`` or ``MusicgenMelodyForCausalLM``, product by product.

    int4 is for the products that hold most of the weights. Embeddings, heads and the way out of
    self-attention keep 8 bits: they are small, and rounding them costs most.
    """
    fine = "int8" if precision == "int4" else precision
    if model.config.activation_function != "gelu":
        raise ModelMismatch(
            f"the decoder's activation is {model.config.activation_function!r}, "
            "the engine knows MusicGen's 'gelu' only"
        )
    decoder = model.model.decoder
    exact = precision == "fp32"
    tables = np.stack([as_array(table.weight) for table in decoder.embed_tokens])
    yield {"embedding": tables if exact else tables.astype(np.float16)}
    for number, layer in enumerate(decoder.layers):
        attention, at = layer.self_attn, f"{number}."
        yield _norm(f"{at}norm", layer.self_attn_layer_norm)
        yield product(f"{at}qkv", precision, attention.q_proj, attention.k_proj, attention.v_proj)
        yield product(f"{at}out", fine, attention.out_proj)
        if hasattr(layer, "encoder_attn"):
            cross = layer.encoder_attn
            yield _norm(f"{at}cross.norm", layer.encoder_attn_layer_norm)
            yield product(f"{at}cross.q", precision, cross.q_proj)
            yield product(f"{at}cross.kv", precision, cross.k_proj, cross.v_proj)
            yield product(f"{at}cross.out", precision, cross.out_proj)
        yield _norm(f"{at}feed.norm", layer.final_layer_norm)
        yield product(f"{at}expand", precision, layer.fc1)
        yield product(f"{at}contract", precision, layer.fc2)
    yield _norm("norm", decoder.layer_norm)
    yield product("heads", fine, *model.lm_heads)


def decoder_graph(weights: Weights, layers: int, width: int, heads: int) -> Any:
    """The graph of one pass.

    Inputs: ``embedded [M, D]``, positions included; ``wanted [W]``, which of the columns get
    logits; ``past_lens [R]``, ``subsequence_begins [R + 1]``, ``block_indices``,
    ``block_indices_begins [R + 1]`` and ``max_context_len``, which say what belongs to whom (see
    OpenVINO's PagedAttention); the pages ``keys.n`` and ``values.n`` of layer ``n``; with
    cross-attention ``cross_keys.n`` and ``cross_values.n [R, H, S, D / H]`` and the scores' mask
    ``cross_mask [R, 1, 1, S]``. Result: ``logits [W, K * V]``.
    """
    graph = Graph(weights)
    size = width // heads
    x = graph.input("embedded", [-1, width])
    wanted = graph.input("wanted", [-1], "i32")
    names = ("past_lens", "subsequence_begins", "block_indices", "block_indices_begins")
    whose = [graph.input(name, [-1], "i32") for name in names]
    whose.append(graph.input("max_context_len", [], "i32"))
    crossed = graph.has("0.cross.norm")
    mask = graph.input("cross_mask", [-1, 1, 1, -1]) if crossed else None
    for n in range(layers):
        pages = [graph.input(f"{kind}.{n}", [-1] * 4, "dynamic") for kind in ("keys", "values")]
        qkv = graph.split(graph.linear(graph.norm(x, f"{n}.norm"), f"{n}.qkv"), 3)
        attended = _paged_attention(graph, qkv, pages, whose, heads, size)
        x = graph.op.add(x, graph.linear(attended, f"{n}.out"))
        if crossed:
            keys, values = (
                graph.input(f"cross_{kind}.{n}", [-1, heads, -1, size])
                for kind in ("keys", "values")
            )
            q = graph.linear(graph.norm(x, f"{n}.cross.norm"), f"{n}.cross.q")
            q = graph.transpose(
                graph.reshape(q, graph.length(keys, 0), -1, heads, size), 0, 2, 1, 3
            )
            heard = graph.op.scaled_dot_product_attention(q, keys, values, mask)
            heard = graph.reshape(graph.transpose(heard, 0, 2, 1, 3), -1, width)
            x = graph.op.add(x, graph.linear(heard, f"{n}.cross.out"))
        wide = graph.linear(graph.norm(x, f"{n}.feed.norm"), f"{n}.expand")
        x = graph.op.add(x, graph.linear(graph.op.gelu(wide, "erf"), f"{n}.contract"))
    x = graph.op.gather(x, wanted, graph.constant(0))
    return graph.model(logits=graph.linear(graph.norm(x, "norm"), "heads"))


def cross_graph(weights: Weights, layers: int, width: int, heads: int) -> Any:
    """Conditioning ``states [S, D]`` to ``keys.n`` and ``values.n [1, H, S, D / H]`` a layer."""
    graph = Graph(weights)
    states = graph.input("states", [-1, width])
    made = {}
    for n in range(layers):
        pair = graph.split(graph.linear(states, f"{n}.cross.kv"), 2)
        for kind, part in zip(("keys", "values"), pair, strict=True):
            split = graph.reshape(part, 1, -1, heads, width // heads)
            made[f"{kind}.{n}"] = graph.transpose(split, 0, 2, 1, 3)
    return graph.model(**made)


def positions(first: int, count: int, width: int) -> FloatArray:
    """Sinusoids ``[count, width]`` from position ``first`` on: cosines, then sines.

    Source: ``MusicgenSinusoidalPositionalEmbedding.get_embedding`` of transformers, in float32 as
    there.
    """
    half = width // 2
    rates = np.exp(np.arange(half, dtype=np.float32) * np.float32(-np.log(10000) / (half - 1)))
    angles = np.arange(first, first + count, dtype=np.float32)[:, None] * rates
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _paged_attention(
    graph: Graph, qkv: list[Node], pages: list[Node], whose: list[Node], heads: int, size: int
) -> Node:
    """``[M, D]`` of queries, keys and values to ``[M, D]``; keys and values go into the pages.

    The order of the 28 inputs is that of ``ov::op::PagedAttentionExtension``; those after the
    first nine and ``max_context_len`` belong to features that are switched off here.
    """

    def none(kind: type, *shape: int) -> Node:
        return graph.constant(np.zeros(shape, dtype=kind))

    i4, f4 = np.int32, np.float32
    *parts, longest = whose
    scale = graph.constant(size**-0.5, f4)
    off = [
        *(none(i4, 0), none(i4, 0), none(i4, 0), none(f4, 0), none(f4, 0), none(i4), none(i4)),
        *(none(f4, 0, 0, 0, 0), none(i4), *(none(i4, 0) for _ in range(4))),
        *(none(np.uint8, 0), none(i4, 0)),
    ]
    inputs = [*qkv, *pages, *parts, scale, none(i4), none(f4, 0), longest, *off]
    node = paged_attention([i if hasattr(i, "get_node") else i.output(0) for i in inputs])
    # Without these the runtime does not know how to cut a column into heads.
    for kind in ("k", "v"):
        node.get_rt_info()[f"num_{kind}_heads"] = heads
        node.get_rt_info()[f"{kind}_head_size"] = size
    return node.output(0)


def _norm(name: str, module: Any) -> dict[str, Array]:
    return {name: as_array(module.weight), f"{name}.bias": as_array(module.bias)}
