"""audiocraft, alone in a process and in an environment of its own:
``PYTHON -m benchmarks.audiocraft_contestant FOLDER SECONDS``.

The Python that runs it has audiocraft, not Cadenza: audiocraft 1.3 demands torch 2.1, and beside a
current one it is installed with ``--no-deps``. The model has the shape of the checkpoint, its codec
and its text encoder, and random weights in the decoder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks.stopwatch import PROMPT, peak, steps_of


def main() -> None:
    folder, seconds = Path(sys.argv[1]).resolve(), float(sys.argv[2])
    import torch
    import transformers  # noqa: F401  looks for torchaudio, too, and is to find none

    _do_without("xformers", "xformers.ops")
    products = sys.modules["xformers"].ops = sys.modules["xformers.ops"]
    products.unbind = torch.unbind  # all that is used of it beside torch's own attention
    _do_without("torchaudio", "torchaudio.transforms", "torchaudio.functional")
    begun = time.perf_counter()
    music = _musicgen(folder)
    music.set_generation_params(duration=seconds, cfg_coef=3.0)
    loaded = time.perf_counter()
    steps: list[float] = []
    music.set_custom_progress_callback(lambda done, total: steps.append(time.perf_counter()))
    music.generate([PROMPT], progress=True)
    total = time.perf_counter() - loaded
    figures = {"load": loaded - begun, "total": total, "peak_gb": peak() / 1e9}
    print(json.dumps(figures | steps_of(np.diff(steps))))


def _do_without(*names: str) -> None:
    """Stand in for packages that audiocraft imports and does not use to generate on a CPU; there
    are no builds of them for this torch."""
    if importlib.util.find_spec(names[0]) is not None:
        return
    for name in names:
        sys.modules[name] = _Absent(name)


class _Absent(ModuleType):
    """A package that has every class one may import, and none that does anything."""

    __path__ = ()  # it passes for a package

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


def _musicgen(folder: Path) -> object:
    import torch
    from audiocraft.models.builders import get_lm_model
    from audiocraft.models.encodec import HFEncodecCompressionModel
    from audiocraft.models.musicgen import MusicGen
    from omegaconf import OmegaConf
    from transformers import MusicgenForConditionalGeneration

    # The published checkpoint's own configuration (config/model/lm and config/conditioner).
    whole = MusicgenForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    shape = whole.config.decoder
    text = {"name": "t5-base", "finetune": False, "word_dropout": 0.3}
    config = {
        "lm_model": "transformer_lm",
        "device": "cpu",
        "dtype": "float32",
        "dataset": {"segment_duration": 30},
        "codebooks_pattern": {"modeling": "delay", "delay": {"delays": [0, 1, 2, 3]}},
        "attribute_dropout": {},
        "classifier_free_guidance": {"training_dropout": 0.3, "inference_coef": 3.0},
        "fuser": {"sum": [], "prepend": [], "cross": ["description"], "input_interpolate": []},
        "conditioners": {"description": {"model": "t5", "t5": text}},
        "transformer_lm": {
            "dim": shape.hidden_size,
            "num_heads": shape.num_attention_heads,
            "num_layers": shape.num_hidden_layers,
            "hidden_scale": shape.ffn_dim // shape.hidden_size,
            "n_q": shape.num_codebooks,
            "card": shape.vocab_size,
            "causal": True,
            "memory_efficient": True,
            "norm_first": True,
            **dict.fromkeys(["bias_proj", "bias_ff", "bias_attn"], False),
        },
    }
    # audiocraft takes a text encoder by name; a folder of that name where it runs comes first.
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        whole.text_encoder.save_pretrained(text["name"])
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(folder / name, text["name"])
        decoder = get_lm_model(OmegaConf.create(config))
    return MusicGen("musicgen", HFEncodecCompressionModel(whole.audio_encoder), decoder, 30)


if __name__ == "__main__":
    main()
