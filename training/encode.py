"""Turn shards of sound into shards of codes, caption tokens and facts.

``python -m training.encode --corpus DIR --codec DIR --out DIR``. With ``--follow`` it waits for a
corpus that is still being rendered; with ``--consume`` it deletes the sound it has encoded, so a
corpus can be larger than the disk. Finished shards are skipped, so it can be killed at any moment.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from cadenza.errors import OptionError
from cadenza.framecodec import FrameCodecModel
from training.captions import write_shard
from training.corpus.captions import caption_samples
from training.corpus.store import read_shard, shards
from training.language_model.facts import arrays_of
from training.language_model.tokenizer import train_tokenizer

TOKENIZER_CAPTIONS = 30_000
PIECES_AT_ONCE = 8


def tokenizer_in(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer stored in ``folder``, trained there first if it is not."""
    if not (folder / "tokenizer.json").exists():
        partial = folder / "tokenizer.partial"
        train_tokenizer(caption_samples(TOKENIZER_CAPTIONS, seed=0)).save_pretrained(partial)
        for path in sorted(partial.iterdir(), reverse=True):  # tokenizer.json last
            os.replace(path, folder / path.name)
        partial.rmdir()
    return PreTrainedTokenizerFast.from_pretrained(folder)


@torch.no_grad()
def codes_of(codec: FrameCodecModel, sound: np.ndarray) -> np.ndarray:
    """Sound ``[P, N]`` int16 to codes ``[P, K, T]`` int16."""
    device, codes = codec.quantizer.codebooks.device, []
    for start in range(0, len(sound), PIECES_AT_ONCE):
        waveform = torch.from_numpy(sound[start : start + PIECES_AT_ONCE].astype(np.float32))
        encoded = codec.encode(waveform.to(device)[:, None] / 32768).audio_codes[0]
        codes.append(encoded.to(torch.int16).cpu().numpy())
    return np.concatenate(codes)


def check_same(shard: Path, target: Path) -> None:
    """Refuse codes that are there already and are those of other sounds.

    Raises:
        OptionError: the pieces of ``shard`` are not those of ``target``.
    """
    expected = arrays_of(read_shard(shard)[1])
    with np.load(target) as stored:
        if not all(np.array_equal(stored[name], facts) for name, facts in expected.items()):
            raise OptionError(
                f"{target} holds other pieces than {shard}, which is kept: choose another --out"
            )


def encode(arguments: argparse.Namespace) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    codec = (
        FrameCodecModel.from_pretrained(arguments.codec, dtype=torch.float32)
        .to(arguments.device)
        .eval()
    )
    tokenizer = tokenizer_in(arguments.out)
    latest, started, done = time.monotonic(), time.monotonic(), 0
    while True:
        fresh = False
        for shard in shards(arguments.corpus):
            target = arguments.out / shard.name.replace("shard-", "codes-").replace("npy", "npz")
            if not target.exists():
                sound, pieces = read_shard(shard)
                write_shard(target, pieces, tokenizer, codes=codes_of(codec, sound))
                fresh, done = True, done + len(pieces)
                rate = done / (time.monotonic() - started)
                print(f"{target.name}: {done} pieces, {rate:.0f} a second", flush=True)
            if arguments.consume:
                check_same(shard, target)
                shard.unlink()
        latest = time.monotonic() if fresh else latest
        if time.monotonic() - latest >= arguments.follow:
            return
        time.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.encode", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--follow", type=float, default=0, help="stop after so many seconds without a new shard"
    )
    parser.add_argument("--consume", action="store_true", help="delete sound once it is encoded")
    encode(parser.parse_args())


if __name__ == "__main__":
    main()
