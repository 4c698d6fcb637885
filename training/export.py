"""Put a trained codec and language model into one checkpoint folder in the published layout.

``python -m training.export --codec DIR --codes DIR --language-model DIR --out DIR``. Of several
language models, stages of one training, the mean of their weights is taken.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import safetensors.numpy
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    EncodecFeatureExtractor,
    GenerationConfig,
    MusicgenForConditionalGeneration,
    MusicgenProcessor,
    PreTrainedTokenizerFast,
)

from cadenza.checkpoints.layout import CRITIC
from cadenza.files import write_atomically
from cadenza.framecodec import FrameCodecModel
from cadenza.studio.critic import pack
from training.critic.network import TEMPI, TempoNetwork
from training.critic.network import WEIGHTS as TAUGHT
from training.language_model.facts import FAMILIES, FRAME_RATE
from training.language_model.learner import WEIGHTS
from training.language_model.shape import nano_config

MODEL_CARD = Path(__file__).with_name("model_card.md")


def mean_of(folders: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of language models' weights. Words that only later ones know have their rows at the
    end of the table, and these are the means of those."""
    models = [load_file(folder / WEIGHTS) for folder in folders]
    means = {}
    for name in models[-1]:
        tables = [model[name] for model in models]
        means[name] = tables[-1].clone()
        for length in sorted({len(table) for table in tables}, reverse=True):
            known = [table[:length] for table in tables if len(table) >= length]
            means[name][:length] = torch.stack(known).mean(0)
    return means


def assemble(codec_folder: Path, codes: Path, language_models: Sequence[Path], out: Path) -> None:
    """Write the checkpoint in half precision; an older one at ``out`` is replaced at the end."""
    codec = FrameCodecModel.from_pretrained(codec_folder, dtype=torch.float32)
    codec.config._name_or_path = ""  # where it lay is nobody's business
    tokenizer = PreTrainedTokenizerFast.from_pretrained(codes)
    model = MusicgenForConditionalGeneration(nano_config(codec.config, len(tokenizer)))
    model.audio_encoder.load_state_dict(codec.state_dict())
    learned = mean_of(language_models)
    missing = {
        name
        for name, weight in model.named_parameters()
        if name not in learned and not name.startswith("audio_encoder.")
    }
    if missing:
        raise ValueError(f"{language_models[-1]} lacks {', '.join(sorted(missing))}")
    model.load_state_dict(learned, strict=False)
    special = model.config.decoder.vocab_size
    model.config.decoder.decoder_start_token_id = special
    model.generation_config = GenerationConfig(
        bos_token_id=special,
        pad_token_id=special,
        decoder_start_token_id=special,
        do_sample=True,
        guidance_scale=3.0,
        max_length=1503,
    )
    partial = out.with_name(out.name + ".partial")
    model.to(torch.float16).save_pretrained(partial)
    extractor = EncodecFeatureExtractor(sampling_rate=codec.config.sampling_rate)
    MusicgenProcessor(extractor, tokenizer).save_pretrained(partial)
    shutil.copyfile(MODEL_CARD, partial / "README.md")
    if out.exists():
        shutil.rmtree(out)
    os.replace(partial, out)
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"{out}: {size / 1e6:.1f} MB, {model.num_parameters() / 1e6:.2f} million parameters")


def add_critic(taught: Path, folder: Path) -> None:
    """Put the critic that ``training.critic`` wrote, a file, beside the weights of a checkpoint.

    What the critic takes from there itself, the codebooks, is left out.
    """
    weights = {
        name: weight
        for name, weight in safetensors.numpy.load_file(taught).items()
        if not name.startswith("codec.")
    }
    told = TempoNetwork().range
    facts = {
        "families": FAMILIES,
        "tempi": (float(TEMPI[0]), float(TEMPI[-1]), len(TEMPI)),
        "told": (told.start, told.stop),
        "frame_rate": FRAME_RATE,
    }
    content = safetensors.numpy.save(pack(weights), {"critic": json.dumps(facts)})
    write_atomically(folder / CRITIC, content)
    print(f"{folder / CRITIC}: {len(content) / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--codes", type=Path, required=True, help="the folder of the tokenizer")
    parser.add_argument("--language-model", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--critic", type=Path, help="the folder of one that was taught on its codes"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    assemble(arguments.codec, arguments.codes, arguments.language_model, arguments.out)
    if arguments.critic is not None:
        add_critic(arguments.critic / TAUGHT, arguments.out)


if __name__ == "__main__":
    main()
