"""The library's own requests as JSON: one set of rules, checked where a request comes in.

What the library asks for is a dataclass or a function whose arguments check themselves. Here it
becomes a pydantic model with the same fields, defaults and messages. What differs is that a sound
is the id of an upload.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator
from pydantic_core import PydanticCustomError

from cadenza.errors import CadenzaError
from cadenza.request import Sound
from cadenza.types import Audio, Source

UploadId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
JobId = UploadId  # alike, and made alike

# Stands in for a sound that is not read yet, so that the rules about its presence can be checked.
_SOME_SOUND = Sound(Audio(np.ones((1, 1), np.float32), 1), Source("", ""))


class Asked(BaseModel):
    """What all requests have in common. Unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    library: ClassVar[Callable[..., Any]] = dict  # what has the rules
    own: ClassVar[tuple[str, ...]] = ()  # its arguments
    sounds: ClassVar[tuple[str, ...]] = ()  # fields that are sounds

    @property
    def uploads(self) -> dict[str, str]:
        """Which fields hold sounds, and the uploads that they are."""
        given = {name: getattr(self, name) for name in self.sounds}
        return {name: id for name, id in given.items() if id is not None}

    @property
    def results(self) -> dict[str, str]:
        """The files of earlier jobs that it works on, by the ids of these."""
        return {}

    def options(self, sounds: Mapping[str, Sound]) -> dict[str, Any]:
        """The arguments of the library's request, with ``sounds`` by field in place of uploads."""
        return {name: getattr(self, name) for name in self.own} | dict(sounds)

    @model_validator(mode="after")
    def _by_the_librarys_rules(self) -> Asked:
        with told():
            type(self).library(**self.options(dict.fromkeys(self.uploads, _SOME_SOUND)))
        return self


@contextmanager
def told() -> Iterator[None]:
    """Our errors as pydantic's, with their words."""
    try:
        yield
    except CadenzaError as error:
        raise PydanticCustomError(
            "rule", "{reason}", {"reason": str(error), "kind": type(error).__name__}
        ) from error


def asked(
    library: Callable[..., Any],
    name: str,
    base: type[Asked],
    help: Mapping[str, str],
    without: Collection[str] = (),
) -> Any:
    """A model named ``name`` for the arguments of ``library``, described by ``help``.

    Arguments that ``base`` has are left to it, and those ``without`` which a request is made are
    not asked for.
    """
    hints = get_type_hints(library)
    fields: dict[str, Any] = {}
    sounds = []
    for argument in inspect.signature(library).parameters.values():
        if argument.name in base.model_fields or argument.name in without:
            continue
        kind = hints[argument.name]
        if os.PathLike[str] in get_args(kind):
            kind = UploadId | None
            sounds.append(argument.name)
        default = ... if argument.default is inspect.Parameter.empty else argument.default
        fields[argument.name] = (kind, Field(default, description=help.get(argument.name)))
    model = create_model(name, __base__=base, **fields)
    model.library = library
    model.own, model.sounds = tuple(fields), tuple(sounds)
    return model
