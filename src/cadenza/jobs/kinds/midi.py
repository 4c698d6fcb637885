"""The notes of an upload."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial

from pydantic import Field

from cadenza.beats import analyse
from cadenza.files import write_atomically
from cadenza.jobs.asking import Asked, UploadId
from cadenza.jobs.kinds.kind import Kind, Work
from cadenza.midi import Track, transcribe, transcribe_drums, write

DEFAULT_TEMPO = 120.0  # of the file, where no beat is heard


class Midi(Asked):
    sounds = ("sound",)

    sound: UploadId = Field(description="The upload to listen to.")
    drums: bool = Field(False, description="Whether it is a drum track.")


def _run(request: Midi, work: Work) -> None:
    sound = work.sound(request.sound)
    audio = sound.audio
    listen = transcribe_drums if request.drums else partial(transcribe, progress=work.progress)
    notes = listen(audio)
    heard = analyse(audio)
    tempo = heard.tempo or DEFAULT_TEMPO
    track = Track(sound.source.path, notes, drums=request.drums)
    write(work.folder / "notes.mid", [track], tempo, heard.meter)
    plain = {"tempo": tempo, "notes": [asdict(note) for note in notes]}
    write_atomically(work.folder / "notes.json", json.dumps(plain).encode())


KIND = Kind(Midi, _run, {"sound": "0123456789abcdef0123456789abcdef"})
