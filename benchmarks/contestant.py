"""One engine, alone in a process: ``python -m benchmarks.contestant FOLDER ENGINE TASK SECONDS``.

Prints its figures as JSON. Each engine has a process to itself, so that memory and loading are
its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stopwatch import PROMPT, Figures, peak, steps_of

PROMPTS = [PROMPT, "upbeat funk with slap bass", "ambient pads, slow", "rock guitar, 120 bpm"]


def main() -> None:
    folder, engine, task, seconds = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
    kind, precision = engine.split(":")
    run = _transformers if kind == "transformers" else _cadenza
    figures = run(folder, kind, precision, task, seconds)
    figures["peak_gb"] = peak() / 1e9
    print(json.dumps(figures))


def _transformers(folder: Path, kind: str, precision: str, task: str, seconds: float) -> Figures:
    import torch
    from transformers import AutoTokenizer, LogitsProcessorList, MusicgenForConditionalGeneration

    import cadenza  # noqa: F401  registers nano's codec

    begun = time.perf_counter()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = MusicgenForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
    inputs = AutoTokenizer.from_pretrained(folder)([PROMPT], return_tensors="pt")
    loaded = time.perf_counter()
    steps: list[float] = []

    def clock(ids: Any, scores: Any) -> Any:
        steps.append(time.perf_counter())
        return scores

    frames = round(seconds * 50)
    with torch.inference_mode():
        model.generate(
            **inputs,
            do_sample=True,
            guidance_scale=3.0,
            max_new_tokens=frames + 3,
            min_new_tokens=frames + 3,
            logits_processor=LogitsProcessorList([clock]),
        )
    done = time.perf_counter()
    return {"load": loaded - begun, "total": done - loaded} | steps_of(np.diff(steps))


def _cadenza(folder: Path, kind: str, precision: str, task: str, seconds: float) -> Figures:
    begun = time.perf_counter()
    import cadenza

    model = cadenza.load(folder, backend=kind, precision=precision, device="cpu")
    loaded = time.perf_counter()
    figures: Figures = {"load": loaded - begun}
    steps: list[float] = []
    decode = model._backend.decode_one_step

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        made = decode(*arguments)
        steps.append(time.perf_counter() - start)
        return made

    model._backend.decode_one_step = timed  # type: ignore[method-assign]
    if task == "load":
        return figures
    if task == "stream":
        start = time.perf_counter()
        with model.stream(PROMPT, duration=seconds, seed=1) as stream:
            next(iter(stream))
            figures["first_sound"] = time.perf_counter() - start
        return figures
    prompts = PROMPTS if task == "four" else [PROMPT]
    requests = [
        cadenza.GenerateRequest(prompt, duration=seconds, seed=seed)
        for seed, prompt in enumerate(prompts)
    ]
    start = time.perf_counter()
    takes = model.generate_batch(requests)
    figures["total"] = time.perf_counter() - start
    figures["codec"] = _codec_seconds(lambda: model._codec.decode(takes[0].codes))
    return figures | steps_of(np.array(steps))


def _codec_seconds(decode: Callable[[], Any]) -> float:
    start = time.perf_counter()
    decode()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
