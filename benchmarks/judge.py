"""The listener together with what it makes of held-out renders, kept in the user's cache folder.

The cache holds weights as safetensors and verdicts as JSON, under a fingerprint of everything they
depend on: the corpus, the features, the networks and the codec.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch

import training.corpus
from benchmarks.cache import cache_folder
from benchmarks.codecs import codec_of
from benchmarks.examples import HELD, LEARNED, Examples, examples
from benchmarks.labels import Labels
from benchmarks.listener import Listener, taught
from benchmarks.verdicts import Verdict
from cadenza.files import write_atomically

_DEPENDS_ON = ("examples", "features", "labels", "listener", "networks", "pieces")
_SILENT = ("captions", "words", "store")  # of the corpus; they change nothing that is heard


@dataclass(frozen=True, eq=False)
class Judge:
    """A listener, and how far it can be trusted."""

    listener: Listener
    renders: list[Verdict]  # of held-out pieces
    round_trips: list[Verdict]  # of the same through the codec


def judge_for(model: str) -> Judge:
    """The judge of what ``model`` makes; learned once for each codec, which takes minutes.

    It has heard renders and their round trips through the model's codec, so that it judges the
    music and not the codec.
    """
    place = cache_folder() / f"judge-{_fingerprint(model)}"
    weights, verdicts = place.with_suffix(".safetensors"), place.with_suffix(".json")
    if not verdicts.exists():
        listener = taught(examples(LEARNED, model))
        renders, trips = (_judged(listener, held) for held in examples(HELD, model))
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(weights, safetensors.torch.save(listener.state_dict()))
        write_atomically(verdicts, _to_json(renders, trips))  # last: it vouches for the weights
    listener = Listener()
    listener.load_state_dict(safetensors.torch.load_file(weights))
    return Judge(listener.eval(), *_from_json(verdicts.read_bytes()))


def _judged(listener: Listener, held: Examples) -> list[Verdict]:
    heard = listener.hear(held.features)
    return [Verdict(*pair) for pair in zip(held.truths, heard, strict=True)]


def _to_json(*parts: Sequence[Verdict]) -> bytes:
    return json.dumps([[dataclasses.asdict(item) for item in part] for part in parts]).encode()


def _from_json(data: bytes) -> list[list[Verdict]]:
    return [
        [Verdict(Labels(**item["asked"]), Labels(**item["heard"])) for item in part]
        for part in json.loads(data)
    ]


def _fingerprint(model: str) -> str:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    corpus = sorted(Path(training.corpus.__file__).parent.glob("*.py"))
    sounding = [path for path in corpus if path.stem not in _SILENT]
    for path in (*sounding, *(here / f"{name}.py" for name in _DEPENDS_ON)):
        digest.update(path.read_bytes())
    digest.update(safetensors.torch.save(codec_of(model).model.state_dict()))
    return digest.hexdigest()[:16]
