"""The takes under ``examples/takes``: their recipes make them again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cadenza
from cadenza.audio import read, resample
from cadenza.take import read_recipe
from examples.takes import make

FILES = sorted(make.HERE.glob("*.opus"))
# Where rounding is another, a choice between two tokens that are nearly alike may be, too. One in
# ten takes with such a choice would be many; more than three differ only if something is wrong.
ELSEWHERE = 7


@pytest.fixture(scope="module")
def model() -> cadenza.Model:
    return make.load()


def test_they_are_small_and_as_many_as_the_script_names() -> None:
    assert [path.stem for path in FILES] == sorted(make.TAKES)
    assert sum(path.stat().st_size for path in FILES) <= 700_000
    assert all(read(path).duration == pytest.approx(make.SECONDS, abs=0.01) for path in FILES)


def test_verify_makes_them_again(model: cadenza.Model) -> None:
    """All of them on the machine that they were made on, nearly all on another one.

    And what is made is what is heard in the file, but for what Opus leaves out.
    """
    results = {path: cadenza.verify(path, model=model) for path in FILES}
    same = [path for path, result in results.items() if result.same]
    made_here = json.loads((make.HERE / "made.json").read_text()) == make.machine()
    assert len(same) >= (len(FILES) if made_here else ELSEWHERE)
    for path in same:
        made = results[path].take.audio
        stored = resample(read(path), made.rate).samples[0]
        assert np.corrcoef(stored, made.samples[0, : len(stored)])[0, 1] > 0.95


def test_the_script_makes_takes_that_are_the_same_here(
    tmp_path: Path, model: cadenza.Model
) -> None:
    command = [sys.executable, make.__file__, str(tmp_path), "--seconds", "0.5"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    files = sorted(tmp_path.glob("*.opus"))
    assert [path.stem for path in files] == sorted(make.TAKES)
    for path in files:
        assert read_recipe(path).text == make.TAKES[path.stem][0]
        assert cadenza.verify(path, model=model).same


def test_the_page_about_nano_links_to_what_is_there() -> None:
    page = make.HERE.parents[1] / "docs" / "nano.md"
    links = re.findall(r"\]\(([^)#]+)", page.read_text("utf-8"))
    assert len(links) >= 5
    assert all((page.parent / link).exists() for link in links)
    assert (page.parent / "nano.png").stat().st_size <= 400_000
