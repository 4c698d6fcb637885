"""The sound card, through PortAudio."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import soxr

from cadenza.audio import soft_limit
from cadenza.errors import MissingPackage, OutputError
from cadenza.types import FloatArray

INSTEAD = "or send the sound to a player: cadenza stream … | aplay"


def check_speaker() -> None:
    """Say at once when nothing can be heard here.

    Raises:
        MissingPackage: python-sounddevice is not installed.
        OutputError: PortAudio or a sound card is missing.
    """
    _device(_sounddevice())


class Speaker:
    """What is written is heard; writing waits while enough is waiting to be heard.

    A card that does not know ``rate`` gets the sound at a rate of its own.

    Raises:
        MissingPackage, OutputError: see :func:`check_speaker`.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.dropouts = 0  # gaps so far, because nothing was there to be heard
        self._portaudio = _sounddevice()
        device = _device(self._portaudio)
        self._resampler: soxr.ResampleStream | None = None
        try:
            self._stream = self._open(rate, channels)
        except self._portaudio.PortAudioError:
            theirs = device["default_samplerate"]
            self._resampler = soxr.ResampleStream(rate, theirs, channels, dtype="float32")
            self._stream = self._telling(self._open, theirs, channels)

    def play(self, samples: FloatArray) -> None:
        """Let ``samples [C, n]`` be heard.

        Raises:
            OutputError: the card is gone.
        """
        frames = soft_limit(samples).T
        if self._resampler is not None:
            frames = self._resampler.resample_chunk(np.ascontiguousarray(frames))
        late = self._telling(self._stream.write, np.ascontiguousarray(frames, dtype=np.float32))
        self.dropouts += bool(late)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        """Let what is left be heard, or be silent at once after an error."""
        self._telling(self._stream.stop if error is None else self._stream.abort)
        self._stream.close()

    def _open(self, rate: float, channels: int) -> Any:
        stream = self._portaudio.OutputStream(
            samplerate=rate, channels=channels, dtype="float32", latency="high"
        )
        stream.start()
        return stream

    def _telling(self, do: Any, *arguments: Any) -> Any:
        try:
            return do(*arguments)
        except self._portaudio.PortAudioError as error:
            raise OutputError(f"the sound card does not play: {error}; {INSTEAD}") from error


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise MissingPackage("python-sounddevice", "pip install 'cadenza[play]'") from error
    except OSError as error:
        raise OutputError(
            "PortAudio is not installed. Install it with: apt install libportaudio2, dnf install "
            f"portaudio or brew install portaudio; {INSTEAD}"
        ) from error
    return sounddevice


def _device(portaudio: Any) -> Any:
    try:
        return portaudio.query_devices(kind="output")
    except (portaudio.PortAudioError, ValueError) as error:
        raise OutputError(f"there is no sound card here: connect one, {INSTEAD}") from error
