"""OpenVINO itself: the only module that imports it, and only when it is used."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from cadenza.errors import MissingPackage

_ROUNDED = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "u8"}
_OPTIONS = {
    "fp32": {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"},
    "bf16": {"INFERENCE_PRECISION_HINT": "bf16", "KV_CACHE_PRECISION": "bf16"},
    "int8": _ROUNDED,
    "int4": _ROUNDED,
}
PRECISIONS = tuple(_OPTIONS)


def available() -> bool:
    """Whether the package is installed; does not import it."""
    return find_spec("openvino") is not None


def installed_version() -> str:
    try:
        return version("openvino")
    except PackageNotFoundError as error:
        raise _missing() from error


@lru_cache(maxsize=1)
def openvino() -> Any:
    """The package, without its habit of telling its makers of every import and every run.

    Raises:
        MissingPackage: it is not installed.
    """
    # Without that module it takes a stub of its own. There is no option, and it asks nobody.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise _missing() from error
    return openvino


@lru_cache(maxsize=1)
def opset() -> Any:
    """The operations that graphs are built of."""
    return openvino().opset15


def paged_attention(inputs: list[Any]) -> Any:
    """OpenVINO's PagedAttention on 28 outputs of other nodes; it has no public factory."""
    return openvino().op._PagedAttentionExtension(inputs)


@lru_cache(maxsize=1)
def _core() -> Any:
    return openvino().Core()


@lru_cache(maxsize=1)
def _has_bf16() -> bool:
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compiled(model: Any, precision: str = "fp32", *, threads: int | None = None) -> Any:
    """A graph, ready to run on this machine's CPU; its kernels are the runtime's choice.

    Args:
        precision: ``fp32`` computes and keeps keys and values in float32, ``bf16`` in bfloat16,
            where the processor does that, else as ``fp32``; the others compute in float32 on
            rounded weights, and keep keys and values in 8 bits.
        threads: how many to use; None leaves it to the runtime.
    """
    if precision == "bf16" and not _has_bf16():  # it would refuse keys and values in it
        precision = "fp32"
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"} | _OPTIONS[precision]
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    return _core().compile_model(model, "CPU", options)


def _missing() -> MissingPackage:
    return MissingPackage("OpenVINO", "pip install openvino")
