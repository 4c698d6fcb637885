"""Fixtures that many tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# The models here are so small that a second thread only waits, and on a busy machine for long.
# In the environment, before torch is imported, it holds for every process that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

import cadenza
from cadenza.model import Model
from tests.checkpoints import tiny
from tests.nursery import Nursery, nursery
from tests.renders import renderer


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Converted models of a person who runs the tests are left alone, and made afresh."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CADENZA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("text", tmp_path_factory.mktemp("checkpoints") / "tiny-text")


@pytest.fixture(scope="session")
def tiny_melody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("melody", tmp_path_factory.mktemp("checkpoints") / "tiny-melody")


@pytest.fixture(scope="session")
def tiny_stereo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("stereo", tmp_path_factory.mktemp("checkpoints") / "tiny-stereo")


@pytest.fixture(scope="session")
def tiny_stereo_melody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("stereo-melody", tmp_path_factory.mktemp("checkpoints") / "tiny-stereo-melody")


@pytest.fixture(scope="session")
def torch_nano() -> Model:
    """The bundled model on the reference back end, in this process."""
    return cadenza.load("nano", offline=True, backend="torch")


@pytest.fixture(scope="session")
def sound_font() -> None:
    """Skips the test without one, but not in CI."""
    renderer()


@pytest.fixture(scope="session")
def workers() -> Iterator[Nursery]:
    """Processes of workers, of all tests together: each begins and kills its own."""
    with nursery() as made:
        yield made
