"""A checkpoint on OpenVINO, converted when it is first met; after that without torch."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cadenza.checkpoints import Checkpoint, layout
from cadenza.codecstream import StreamingCodec
from cadenza.errors import CadenzaError, DeviceError
from cadenza.machine import Machine
from cadenza.openvino import cache, weights
from cadenza.openvino.backend import DecoderSizes, OpenVINOBackend
from cadenza.openvino.codec import CodecSizes, OpenVINOCodec
from cadenza.openvino.runtime import PRECISIONS, openvino
from cadenza.openvino.text import Reader, text_graph
from cadenza.openvino.weights import Weights
from cadenza.tune import TuneConditioner
from cadenza.types import Audio, Codes, Conditioning, FloatArray, ModelIdentity

LOG = logging.getLogger(__name__)
AUTO = "int8"  # the fastest whose likeliest token is the exact one 97 times in 100
WARM_UP_FRAMES = 8

Found = tuple[dict[str, Weights], dict[str, Any]]  # arrays by part, the manifest


def load_machine(checkpoint: Checkpoint, precision: str) -> Machine:
    """Load a checkpoint, from the cache where it has been converted.

    Raises:
        MissingPackage: OpenVINO is not installed.
        DeviceError: a precision that there is not, or a processor that OpenVINO refuses.
        ModelDamaged, ModelMismatch: see :func:`cadenza.openvino.convert.convert`.
    """
    precision = AUTO if precision == "auto" else precision
    if precision not in PRECISIONS:
        raise DeviceError(
            f"OpenVINO does not compute in {precision!r}: choose auto, {', '.join(PRECISIONS)}"
        )
    openvino()
    arrays, manifest = _found(checkpoint, precision)
    try:
        return _machine(checkpoint, precision, arrays, manifest)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise DeviceError(
            f"OpenVINO cannot run {checkpoint.name} on this processor ({reason}): "
            "use the torch back end"
        ) from error


def _machine(
    checkpoint: Checkpoint, precision: str, arrays: dict[str, Weights], manifest: dict[str, Any]
) -> Machine:
    sizes = DecoderSizes(**manifest["decoder"])
    with ThreadPoolExecutor(1) as beside:  # a graph is compiled on one core
        building = beside.submit(OpenVINOBackend, arrays["decoder"], sizes, precision)
        tokenizer = checkpoint.folder / layout.TOKENIZER
        reader = Reader(text_graph(arrays["text"], **manifest["text"]), tokenizer, sizes.width)
        reader.read("music")
        codec = _codec(checkpoint, precision, arrays["codec"], manifest)
        _forget(arrays["text"])
        backend = building.result()
    if manifest["family"] == "melody":
        tuneful = TuneConditioner(
            reader.read, _projection(arrays["text"]), _chroma, manifest["chroma_length"]
        )
        unconditional = tuneful.unconditional

        def condition(text: str | None, tune: Audio | None) -> Conditioning:
            return tuneful.encode([text], [tune])[0]

    else:

        def condition(text: str | None, tune: Audio | None) -> Conditioning:
            states = reader.read(text)
            return Conditioning(cross=states, prefix=states[:0])

        def unconditional(conditional: Conditioning) -> Conditioning:
            return condition(None, None)

    backend.warm_up(condition("music", None))
    _forget(arrays["decoder"])
    return Machine(
        backend=backend,
        codec=codec,
        condition=condition,
        unconditional=unconditional,
        family=manifest["family"],
        identity=replace(
            ModelIdentity.from_dict(manifest["identity"]),
            name=checkpoint.name,
            adapters=checkpoint.added,
        ),
        kind="openvino",
        device="cpu",
        precision=precision,
    )


def _codec(
    checkpoint: Checkpoint, precision: str, arrays: Weights, manifest: dict[str, Any]
) -> OpenVINOCodec:
    """The codec, warm."""
    codec = OpenVINOCodec(
        arrays,
        CodecSizes(**manifest["codec"]),
        manifest["channels"],
        encoder=lambda: _encoder(checkpoint, manifest["channels"]),
        precision="fp32" if precision == "fp32" else "bf16",
    )
    codec.decode(Codes(np.zeros((codec.codebooks, WARM_UP_FRAMES), np.int64), codec.frame_rate))
    _forget(arrays)
    return codec


def _forget(arrays: Weights) -> None:
    """The runtime has made what it computes with by now, in the first run; the file is not needed
    beside it."""
    if isinstance(arrays, weights.Mapped):
        arrays.forget()


def _found(checkpoint: Checkpoint, precision: str) -> Found:
    """The conversion in the cache; made now if there is none, or none that is whole."""
    folder = cache.place(checkpoint, precision)
    if (found := _read(folder)) is not None:
        return found
    try:
        with cache.locked(folder):
            if (found := _read(folder)) is None:  # another process may have been faster
                found = _convert(checkpoint, precision)
                with cache.replacing(folder) as part:
                    _write(part, *found)
                found = _read(folder) or found
    except OSError as error:
        if found is None:
            found = _convert(checkpoint, precision)
        LOG.warning(
            "the converted model cannot be kept in %s (%s): it will be converted again next time",
            folder.parent,
            error.strerror or error,
        )
    return found


def _convert(checkpoint: Checkpoint, precision: str) -> Found:
    LOG.info("converting %s to %s for this machine, once", checkpoint.name, precision)
    from cadenza.openvino.convert import convert

    arrays, sizes = convert(checkpoint, precision)
    return arrays, {"made_by": cache.made_by(), "precision": precision} | sizes


def _write(folder: Path, arrays: dict[str, Weights], manifest: dict[str, Any]) -> None:
    for part, tensors in arrays.items():
        weights.save(folder / f"{part}.safetensors", tensors)
    files = {file.name: file.stat().st_size for file in folder.iterdir()}
    text = json.dumps(manifest | {"files": files}, indent=1)
    (folder / cache.MANIFEST).write_text(text, "utf-8")


def _read(folder: Path) -> Found | None:
    """A conversion, mapped into memory. One that is damaged counts as none."""
    manifest = cache.read(folder)
    if manifest is None:
        return None
    try:
        parts = ("decoder", "text", "codec")
        return {part: weights.mapped(folder / f"{part}.safetensors") for part in parts}, manifest
    except CadenzaError:
        return None


def _projection(arrays: Weights) -> Any:
    def project(features: FloatArray) -> FloatArray:
        return np.asarray(features @ arrays["tune"].T + arrays["tune.bias"], dtype=np.float32)

    return project


def _chroma(audio: Audio) -> FloatArray:
    from cadenza.melody import chroma

    return chroma(audio)


def _encoder(checkpoint: Checkpoint, channels: int) -> StreamingCodec:
    """The codec of transformers: a sound to go on from has to be encoded, which is rare."""
    import torch

    from cadenza.checkpoints import load_parts
    from cadenza.codec import Codec

    parts = load_parts(checkpoint, device="cpu", dtype=torch.bfloat16)
    model: Any = parts.model
    return Codec(model.audio_encoder, channels)
