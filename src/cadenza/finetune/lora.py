"""The matrices that are learned, put beside the decoder's products by peft."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cadenza.checkpoints.adapter import BASE, CONFIG
from cadenza.errors import MissingPackage
from cadenza.types import ModelIdentity

# Attention to the music and to the text, and the layers between: all that is large in a decoder.
TARGETS = (
    r"decoder\.model\.decoder\.layers\.\d+\."
    r"((self_attn|encoder_attn)\.(q_proj|k_proj|v_proj|out_proj)|fc1|fc2)"
)


def check_installed() -> None:
    """Raises ``MissingPackage`` without peft."""
    if find_spec("peft") is None:
        raise MissingPackage("peft, which fine-tuning needs,", "pip install 'cadenza[finetune]'")


class Lora:
    """Matrices of rank ``rank`` beside the products of a ``MusicgenForConditionalGeneration``.

    The model computes with them from then on, but for what is done within ``off()``; they begin as
    nothing, the same for each ``seed``.

    Raises:
        MissingPackage: peft is not installed.
    """

    def __init__(self, model: Any, identity: ModelIdentity, rank: int, seed: int) -> None:
        check_installed()
        import peft
        import torch

        config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS)
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
            torch.manual_seed(seed)
            wrapped: Any = peft.get_peft_model(model, config)
        self._identity, self._config = identity, wrapped.peft_config["default"]
        self.off: Callable[[], AbstractContextManager[None]] = wrapped.disable_adapter
        # By the names that they have in peft's files, where there is no more than one adapter.
        self.weights: dict[str, Any] = {
            name.replace(".default.", "."): weight
            for name, weight in wrapped.named_parameters()
            if weight.requires_grad
        }

    def header(self) -> dict[str, str]:
        """What the file of the weights says of its base."""
        # One entry alone: safetensors writes several in any order, and the digest would change.
        return {BASE: json.dumps({"name": self._identity.name, "sha256": self._identity.sha256})}

    def config(self) -> bytes:
        """The content of ``adapter_config.json``, as peft writes it."""
        with TemporaryDirectory() as folder:
            self._config.save_pretrained(folder)
            content = json.loads((Path(folder) / CONFIG).read_text("utf-8"))
        content["base_model_name_or_path"] = self._identity.name
        content["inference_mode"] = True
        return f"{json.dumps(content, indent=2, sort_keys=True)}\n".encode()
