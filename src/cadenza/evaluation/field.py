"""The field's own figures, by the packages that the field uses, where they are on the machine.

``fadtk`` needs older releases of numpy and transformers than Cadenza does, so it lives in an
environment of its own, and its own Python runs ``fadtk_runner.py``. Nothing is downloaded: the
runner says which weights are missing, and how to fetch them.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from cadenza.audio import read, resample, to_channels, write
from cadenza.evaluation.collection import Collection
from cadenza.evaluation.figures import Figure, Kind
from cadenza.evaluation.piece import Piece

INSTALL = "pipx install fadtk (an environment of its own: it needs older packages than Cadenza)"
PATIENCE = 3600.0  # seconds; a hundred takes are minutes of CLAP on a CPU
RATES = {"vggish": 16_000, "clap": 48_000}  # hertz, as fadtk reads them

FAD_VGGISH = Kind(
    "FAD, VGGish", "", "lower", "fadtk, VGGish in PyTorch; the MusicGen paper used TensorFlow's"
)
FAD_CLAP = Kind("FAD, CLAP", "", "lower", "fadtk, clap-laion-music")
CLAP_SCORE = Kind(
    "CLAP score",
    "",
    "higher",
    "cosine of prompt and sound, music_audioset_epoch_15_esc_90.14 as in audiocraft",
)
KL = Kind("KL, PaSST", "", "lower", "between the labels of a take and of its prompt's recording")
KINDS = {"fad_vggish": FAD_VGGISH, "fad_clap": FAD_CLAP, "clap_score": CLAP_SCORE}


def measure(takes: Collection, reference: Collection | None) -> list[tuple[Kind, Figure | str]]:
    """Each figure of the field, or why it was left out."""
    prompted = [piece for piece in takes.sounding if piece.prompt is not None]
    found: dict[str, Figure | str] = {}
    if reference is None:
        found |= dict.fromkeys(
            ("fad_vggish", "fad_clap"), "it needs a reference: --reference FOLDER"
        )
    elif not takes.sounding or not reference.sounding:
        found |= dict.fromkeys(("fad_vggish", "fad_clap"), "it needs sounds that are not silent")
    if not prompted:
        found["clap_score"] = "no file that sounds has a prompt in its tags"
    wanted = [name for name in KINDS if name not in found]
    if wanted:
        counts = {name: len(takes.sounding) for name in wanted} | {"clap_score": len(prompted)}
        for name, answer in _asked(wanted, takes.sounding, reference, prompted).items():
            found[name] = answer if isinstance(answer, str) else Figure(answer, counts[name])
    rows: list[tuple[Kind, Figure | str]] = [(kind, found[name]) for name, kind in KINDS.items()]
    return [*rows, (KL, "it needs a recording of each take's own prompt, which a folder has not")]


def python_of_fadtk() -> Path | None:
    """The interpreter beside the ``fadtk`` command, wherever that was installed."""
    command = shutil.which("fadtk")
    if command is None:
        return None
    python = Path(command).resolve().parent / "python"
    return python if python.exists() else None


def _asked(
    wanted: list[str],
    takes: Sequence[Piece],
    reference: Collection | None,
    prompted: Sequence[Piece],
) -> dict[str, float | str]:
    python = python_of_fadtk()
    if python is None:
        return dict.fromkeys(wanted, f"fadtk is not installed: {INSTALL}")
    state = _run(python, {"task": "weights", "wanted": wanted}, wanted)
    ready = [name for name in wanted if state[name] == ""]
    answers: dict[str, float | str] = {
        name: why.replace("PYTHON", shlex.quote(str(python)))
        for name, why in state.items()
        if isinstance(why, str) and why
    }
    if not ready:
        return answers
    with tempfile.TemporaryDirectory(prefix="cadenza-") as folder:
        place = Path(folder)
        rates = [rate for name, rate in RATES.items() if any(name in metric for metric in ready)]
        named = _converted(takes, place / "takes", rates)
        if reference is not None:
            _converted(reference.sounding, place / "reference", rates)
        prompts = {named[piece.name]: piece.prompt for piece in prompted}
        request = {"task": "measure", "wanted": ready, "folder": folder, "prompts": prompts}
        return answers | {
            name: _checked(value) for name, value in _run(python, request, ready).items()
        }


def _converted(pieces: Sequence[Piece], folder: Path, rates: Sequence[int]) -> dict[str, str]:
    """Write mono 16-bit files where fadtk keeps those that it converts; their names by piece."""
    names = {}
    for number, piece in enumerate(pieces):
        names[piece.name] = f"{number:05d}.wav"
        mono = to_channels(read(piece.path), 1)
        for rate in rates:
            place = folder / "convert" / str(rate)
            place.mkdir(parents=True, exist_ok=True)
            write(resample(mono, rate), place / names[piece.name], "wav")
    return names


def _run(python: Path, request: dict[str, Any], wanted: Sequence[str]) -> dict[str, float | str]:
    """The runner's answer: a number, or why there is none, for each of ``wanted``."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    with as_file(files("cadenza.evaluation").joinpath("fadtk_runner.py")) as script:
        try:
            done = subprocess.run(
                [python, "-I", script],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env=os.environ | offline,
            )
        except subprocess.TimeoutExpired:
            return dict.fromkeys(wanted, f"fadtk took longer than {PATIENCE / 60:.0f} minutes")
    lines = done.stdout.splitlines()
    try:
        answers = json.loads(lines[-1]) if done.returncode == 0 and lines else {}
    except ValueError:
        answers = {}
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return {name: answers.get(name, f"fadtk failed: {last}") for name in wanted}


def _checked(value: float | str) -> float | str:
    if isinstance(value, str) or math.isfinite(value):
        return value
    return "no number came out: the takes may be too short"
