"""Cadenza: text to music with pre-trained MusicGen models.

    import cadenza
    model = cadenza.load("nano")
    take = model.generate("jazz piano, 120 bpm", duration=10, seed=7)
    take.save("jazz.wav")

The names below are loaded when they are first used, so that importing the package is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook

if TYPE_CHECKING:
    from cadenza.client import Client
    from cadenza.errors import CadenzaError
    from cadenza.evaluation import evaluate
    from cadenza.model import Model, load
    from cadenza.prompting import enhance
    from cadenza.recipes import again, verify
    from cadenza.request import GenerateRequest
    from cadenza.take import Take
    from cadenza.types import Audio, Codes, Recipe

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "CadenzaError",
    "Client",
    "Codes",
    "GenerateRequest",
    "Model",
    "Recipe",
    "Take",
    "again",
    "enhance",
    "evaluate",
    "load",
    "verify",
]

_HOME = {
    "Audio": "types",
    "CadenzaError": "errors",
    "Client": "client",
    "Codes": "types",
    "GenerateRequest": "request",
    "Model": "model",
    "Recipe": "types",
    "Take": "take",
    "again": "recipes",
    "enhance": "prompting",
    "evaluate": "evaluation",
    "load": "model",
    "verify": "recipes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def _register_codec(_: object) -> None:
    """Teach transformers the codec of the bundled model, so that its own classes can load it."""
    try:
        from transformers import AutoConfig, AutoModel

        from cadenza.framecodec import FrameCodecConfig, FrameCodecModel
    except ImportError:
        return  # what they need is half imported as yet; when it is whole, its own hook follows

    AutoConfig.register(FrameCodecConfig.model_type, FrameCodecConfig, exist_ok=True)
    AutoModel.register(FrameCodecConfig, FrameCodecModel, exist_ok=True)


# Either package may come first, and transformers is not loaded by ``import cadenza``. The auto
# classes come first as a rule, but EnCodec imports them while it is half imported itself, and a
# hook on the configuration of the auto classes would fire while transformers is.
for _module in (
    "transformers.models.auto.modeling_auto",
    "transformers.models.encodec.configuration_encodec",
    "transformers.models.encodec.modeling_encodec",
    "transformers.models.musicgen.configuration_musicgen",
    "cadenza.framecodec",
):
    register_post_import_hook(_register_codec, _module)
