"""The library's own requests as JSON: one set of rules, checked where a request comes in.

A request of the library is a frozen dataclass that checks itself. Here it becomes a pydantic model
with the same fields, defaults and messages. What differs is that a sound is the id of an upload.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator
from pydantic_core import PydanticCustomError

from cadenza.errors import CadenzaError
from cadenza.request import Sound
from cadenza.types import Audio, Source

UploadId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]

# Stands in for a sound that is not read yet, so that the rules about its presence can be checked.
_SOME_SOUND = Sound(Audio(np.ones((1, 1), np.float32), 1), Source("", ""))


class Asked(BaseModel):
    """What all requests have in common. Unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    library: ClassVar[type]  # the dataclass that has the rules
    own: ClassVar[tuple[str, ...]]  # its fields
    sounds: ClassVar[tuple[str, ...]]  # those that are sounds

    @property
    def uploads(self) -> dict[str, str]:
        """Which fields hold sounds, and the uploads that they are."""
        given = {name: getattr(self, name) for name in self.sounds}
        return {name: id for name, id in given.items() if id is not None}

    def options(self, sounds: Mapping[str, Sound]) -> dict[str, Any]:
        """The fields of the library's request, with ``sounds`` by field in place of uploads."""
        return {name: getattr(self, name) for name in self.own} | dict(sounds)

    @model_validator(mode="after")
    def _by_the_librarys_rules(self) -> Asked:
        try:
            self.library(**self.options(dict.fromkeys(self.uploads, _SOME_SOUND)))
        except CadenzaError as error:
            raise PydanticCustomError(
                "rule", "{reason}", {"reason": str(error), "kind": type(error).__name__}
            ) from error
        return self


def asked(library: type, name: str, base: type[Asked], help: Mapping[str, str]) -> Any:
    """A model named ``name`` for the dataclass ``library``, described by ``help``.

    Fields that ``base`` has are left to it.
    """
    hints = get_type_hints(library)
    fields: dict[str, Any] = {}
    sounds = []
    for field in dataclasses.fields(library):
        if field.name in base.model_fields:
            continue
        kind = hints[field.name]
        if os.PathLike[str] in get_args(kind):
            kind = UploadId | None
            sounds.append(field.name)
        required = field.default is dataclasses.MISSING
        described = Field(... if required else field.default, description=help.get(field.name))
        fields[field.name] = (kind, described)
    model = create_model(name, __base__=base, **fields)
    model.library = library
    model.own, model.sounds = tuple(fields), tuple(sounds)
    return model
