"""How the parts of MusicGen fit, from a checkpoint itself, and why a foreign text encoder cannot.

``python examples/architecture.py [MODEL]``
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel

import cadenza
from cadenza.checkpoints import describe, resolve
from cadenza.errors import ModelMismatch


def draw(name: str) -> None:
    """The parts in the order in which a prompt passes through them."""
    architecture = describe(resolve(name, offline=True).folder)
    print(f"{name}: {architecture.parameters / 1e6:.1f} million parameters\n")
    print("  prompt")
    for stage in architecture.stages:
        numbers = ", ".join(f"{what} {number}" for what, number in stage.dimensions.items())
        print(f"    │\n    ▼\n  {stage.name} ({stage.kind}), {stage.parameters / 1e6:.2f} M")
        print(f"      {numbers}")
    print("    │\n    ▼\n  sound\n\nWhat has to agree:")
    for check in architecture.checks:
        print(f"  {'fits' if check.fault is None else 'DOES NOT FIT'}: {check.detail}")


def with_foreign_text_encoder(name: str, folder: Path) -> Path:
    """A copy of a checkpoint whose text encoder is another T5, twice as wide."""
    shutil.copytree(resolve(name, offline=True).folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_encoder"]["d_model"] *= 2
    (folder / "config.json").write_text(json.dumps(config))
    foreign = T5EncoderModel(T5Config(**config["text_encoder"])).state_dict()
    weights = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in weights.items() if not key.startswith("text_encoder.")}
    # The embedding is known by two names; safetensors holds it once.
    added = {f"text_encoder.{key}": foreign[key] for key in foreign if "embed_tokens" not in key}
    save_file(kept | added, folder / "model.safetensors", {"format": "pt"})
    return folder


def main() -> None:
    draw(sys.argv[1] if len(sys.argv) > 1 else "nano")
    print(
        "\nThe decoder reads text through the projection, and the projection was trained on the\n"
        "states of one text encoder. An encoder of another width does not go in:\n"
    )
    with TemporaryDirectory() as temporary:
        folder = with_foreign_text_encoder("nano", Path(temporary) / "nano-with-another-t5")
        try:
            cadenza.load(folder)
        except ModelMismatch as refusal:
            print(f"  ModelMismatch: {refusal}")
        else:
            raise SystemExit("this checkpoint should have been refused")
    print(
        "\nOne of the same width would go in, and no check could tell: but its states mean other\n"
        "things, so the decoder would follow another prompt than yours. To read another encoder,\n"
        "the projection and the cross-attention have to be trained on it."
    )


if __name__ == "__main__":
    main()
