"""The prompts of the benchmark and what they ask for; the data is ``prompts.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.labels import Labels

PROMPTS = Path(__file__).with_name("prompts.toml")


@dataclass(frozen=True)
class Prompt:
    """A text, and what a take of it must hold."""

    text: str
    labels: Labels


def read_prompts(path: Path = PROMPTS) -> list[Prompt]:
    """All prompts, in order."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["prompt"]
    return [Prompt(entry.pop("text"), Labels(**entry)) for entry in entries]
