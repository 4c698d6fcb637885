"""What a kind of job is, and what it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadenza.jobs.asking import Asked
from cadenza.request import Sound
from cadenza.types import Progress, Say

if TYPE_CHECKING:
    from cadenza.model import Model


@dataclass(frozen=True)
class Work:
    """What a kind works with."""

    model: Model
    folder: Path  # what is written here are the files of the result
    scratch: Path  # and what is written here is gone afterwards
    progress: Progress  # to be called often; raises Cancelled when the job has to stop
    say: Say  # what is being done, in words
    sound: Callable[[str], Sound]  # an upload by its id; raises NotFound, AudioError
    result: Callable[[str, str], Path]  # a file of an earlier job, by id and name; raises NotFound

    def options(self, request: Asked) -> dict[str, Any]:
        """The arguments of the library's request, its sounds read."""
        return request.options({name: self.sound(id) for name, id in request.uploads.items()})


@dataclass(frozen=True)
class Kind:
    request: type[Asked]
    run: Callable[[Any, Work], None]
    example: dict[str, Any]  # a request, for the documentation
