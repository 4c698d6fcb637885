"""Run by the Python that fadtk is installed in, not by Cadenza's: a request on standard input.

It imports nothing of Cadenza. ``weights`` answers which weights lie on the machine, ``measure``
measures. The last line of standard output is the answer: for each figure that is wanted a number,
nothing («») where the weights are there, or why not.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

VGGISH = ("vggish-10086976.pth", "vggish_pca_params-970ea276.pth")
CLAP = "music_audioset_epoch_15_esc_90.14.pt"
TOKENS = 77  # of a prompt, as audiocraft cuts it
FETCH_VGGISH = "import torch; torch.hub.load('harritaylor/torchvggish', 'vggish', trust_repo=True)"
FETCH_CLAP = "from fadtk.model_loader import CLAPLaionModel; CLAPLaionModel('music').load_model()"


def main() -> None:
    request = json.load(sys.stdin)
    socket.setdefaulttimeout(5.0)  # torch.hub asks for the branch of what it has on the disk
    answers: dict[str, float | str] = {}
    for name in request["wanted"]:
        task = request["task"]
        answers[name] = _missing(name) if task == "weights" else _measured(name, request)
    print(f"\n{json.dumps(answers)}")


def _missing(name: str) -> str:
    """What to do so that the weights are there; nothing if they are."""
    if name == "fad_vggish":
        import torch

        hub = Path(torch.hub.get_dir())
        code = list(hub.glob("harritaylor_torchvggish_*/hubconf.py"))
        if code and all((hub / "checkpoints" / weights).is_file() for weights in VGGISH):
            return ""
        return f'the weights of VGGish are missing, fetch them: PYTHON -c "{FETCH_VGGISH}"'
    import fadtk

    if (Path(fadtk.__file__).parent / ".model-checkpoints" / CLAP).is_file():
        return ""
    return f'the weights of CLAP are missing, fetch them: PYTHON -c "{FETCH_CLAP}"'


def _measured(name: str, request: dict[str, Any]) -> float | str:
    try:
        folder = Path(request["folder"])
        if name == "clap_score":
            return _clap_score(folder / "takes", request["prompts"])
        return _fad(name, folder)
    except Exception as error:  # any fault of a foreign package costs its own figure only
        return f"fadtk failed: {type(error).__name__}: {error}"


def _fad(name: str, folder: Path) -> float:
    from fadtk import FrechetAudioDistance
    from fadtk.model_loader import CLAPLaionModel, VGGishModel

    fad = FrechetAudioDistance(VGGishModel() if name == "fad_vggish" else CLAPLaionModel("music"))
    for place in (folder / "takes", folder / "reference"):
        for sound in _sounds(place, fad.ml.sr):
            fad.cache_embedding_file(place / sound.name)
    return float(fad.score(folder / "reference", folder / "takes"))


def _clap_score(folder: Path, prompts: dict[str, str]) -> float:
    """The mean cosine, with ten seconds of each take, drawn at random as audiocraft does."""
    import numpy as np
    import torch
    from fadtk.model_loader import CLAPLaionModel

    loader = CLAPLaionModel("music")
    loader.load_model()
    model = loader.model.eval()
    np.random.seed(0)

    def tokens(texts: list[str]) -> Any:
        return model.tokenize(
            texts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
        )

    cosines = []
    with torch.no_grad():
        for sound in _sounds(folder, loader.sr):
            if sound.name in prompts:
                wave = torch.from_numpy(loader.load_wav(sound)).float()[None]
                heard = model.get_audio_embedding_from_data(wave, use_tensor=True)
                # Two texts: laion_clap drops the batch of a single one.
                text = [prompts[sound.name]] * 2
                read = model.get_text_embedding(text, tokenizer=tokens, use_tensor=True)[:1]
                cosines.append(float(torch.nn.functional.cosine_similarity(heard, read)))
    return float(np.mean(cosines))


def _sounds(folder: Path, rate: int) -> list[Path]:
    return sorted((folder / "convert" / str(rate)).glob("*.wav"))


if __name__ == "__main__":
    main()
