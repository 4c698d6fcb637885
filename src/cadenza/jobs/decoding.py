"""Decode a sound that a stranger sent, in a process of its own with little memory and time.

A decoder that crashes, hangs or swells takes this process with it and nothing else. It is run as
``python -m cadenza.jobs.decoding IN OUT SECONDS`` and says in one line of JSON how it went.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from cadenza.errors import AudioError, OutputError, rebuilt

MEMORY = 3 << 30  # bytes of address space; ten minutes of 96 kHz stereo take half of it
CPU_SECONDS = 60
WALL_SECONDS = 120.0
COMMAND = [sys.executable, "-m", "cadenza.jobs.decoding"]


def decode(source: Path, target: Path, max_seconds: float) -> dict[str, Any]:
    """Decode ``source`` into a 32-bit float wav ``target``.

    Returns ``seconds``, ``rate`` and ``channels`` of the sound.

    Raises:
        AudioError: not a sound, too long, silent, or one that takes too much to decode.
        OutputError: ``target`` cannot be written.
    """
    command = [*COMMAND, str(source), str(target), str(max_seconds)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=WALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise AudioError("the sound takes too long to decode: send it as wav or flac") from error
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise AudioError("the sound cannot be decoded: send it as wav or flac") from error
    if "error" in answer:
        raise rebuilt(answer["kind"], answer["error"])
    return answer


def _main(source: str, target: str, max_seconds: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    from cadenza.audio import check_audible, read, write

    try:
        sound = read(source, float(max_seconds))
        check_audible(sound, "the sound")
        write(sound, target, "wavfloat")
    except (AudioError, OutputError) as error:
        # The message names the file; its owner knows another name than this one.
        told = str(error).replace(source, "the sound")
        print(json.dumps({"error": told, "kind": type(error).__name__}))
        return
    print(
        json.dumps(
            {"seconds": sound.duration, "rate": sound.rate, "channels": sound.channels},
        )
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
