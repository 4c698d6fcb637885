"""What a prompt asks for beside what a critic hears."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cadenza.checkpoints.layout import CRITIC
from cadenza.errors import ModelDamaged
from cadenza.studio.critic.network import CriticNetwork, Told
from cadenza.studio.critic.wanted import wanted_of
from cadenza.types import Codes, FloatArray, IntArray, Key

CODEBOOKS = "audio_encoder.quantizer.codebooks"  # in the checkpoint's weights
WINDOW = 500  # frames that are heard at a time: as many as it was taught on
SHORTEST = 16  # frames that the network can hear
LEAST = 150  # of the last window; a shorter one is not heard, unless it is the only one
NEAR, MENDED = 0.03, 0.08  # of a tempo's logarithm: what is right, and what stretching mends
NEAREST_FIRST = (0, 1, -1, 2, -2)  # semitones that a key is moved by; more is heard as a fault
SURE = 0.5  # how likely a key has to be for that
THERE = 0.3  # and a tempo that can be mended: a stretch that was not needed is seldom heard


@dataclass(frozen=True)
class Opinion:
    """What was heard in a take."""

    fulfilled: dict[str, float]  # how likely each wish is, from 0 to 1; only what was wished
    tempo: float  # the likeliest, beats a minute
    key: Key
    lead: str  # a family of instruments


class Critic:
    """Hears codes of its checkpoint. Several threads may use it."""

    def __init__(self, network: CriticNetwork, families: Sequence[str]) -> None:
        self._network, self._families = network, tuple(families)

    def weigh(
        self, codes: Codes, prompt: str, *, in_time: bool = False, in_key: bool = False
    ) -> Opinion:
        """What a take does of what its prompt asks for.

        With ``in_time`` a tempo counts in full where stretching mends it, with ``in_key`` a key
        where transposing does.
        """
        tempo, key, lead, drums, alone = (np.exp(part[0]) for part in _parts(self.hear(codes.ids)))
        wanted, tempi, fulfilled = wanted_of(prompt), self._network.tempi, {}
        wishes = wanted.wishes
        if wishes.tempo is not None:
            off = np.abs(np.log(tempi / wishes.tempo))
            right = off < MENDED if in_time else np.exp(-0.5 * (off / NEAR) ** 2)
            fulfilled["tempo"] = float(tempo @ right)
        by_mode = key.reshape(2, 12)
        if wishes.key is not None:
            moved = _likeliest(key, wishes.key) if in_key else 0
            fulfilled["key"] = _moved(key, wishes.key, moved)
        if wishes.mode is not None:
            fulfilled["mode"] = float(by_mode[_minor(wishes.mode)].sum())
        known = [self._families.index(name) for name in wanted.leads if name in self._families]
        if known:  # what is named first leads, most of the time
            first, *others = (float(lead[place]) for place in known)
            fulfilled["instrument"] = min(1.0, first + sum(others) / 2)
        if wishes.drums is not None:
            fulfilled["drums"] = float(drums[int(wishes.drums)])
        if wanted.alone is not None:
            fulfilled["alone"] = float(alone[int(wanted.alone)])
        mode, tonic = divmod(int(key.argmax()), 12)
        return Opinion(
            fulfilled,
            tempo=float(tempi[tempo.argmax()]),
            key=Key(tonic, ("major", "minor")[mode]),
            lead=self._families[int(lead.argmax())],
        )

    def tempo_near(self, codes: Codes, tempo: float) -> float | None:
        """What a take plays at, in beats a minute, if stretching can bring it to ``tempo``; None
        where that is not likely.

        Between the tempi that the network tells apart, the likelier ones of those nearby decide.
        """
        heard, tempi = np.exp(self.hear(codes.ids).tempo[0]), self._network.tempi
        near = np.abs(np.log(tempi / tempo)) < MENDED
        likely = float(heard[near].sum())
        if likely < THERE:
            return None
        return float(np.exp(heard[near] @ np.log(tempi[near]) / likely))

    def transposition(self, codes: Codes, key: Key) -> int:
        """By how many semitones a take has to be moved to be in ``key``; 0 where it is, where it is
        too far from it, and where that is not sure."""
        return _likeliest(np.exp(self.hear(codes.ids).key[0]), key)

    def hear(self, ids: IntArray) -> Told:
        """Codes ``[K, T]``, of a long piece the mean of its windows: ``[1, ...]`` each. What is too
        short to be heard at all is heard several times over."""
        ids = np.tile(ids, (1, -(-SHORTEST // ids.shape[1])))
        frames = ids.shape[1]
        starts = [
            start for start in range(0, frames, WINDOW) if frames - start >= LEAST or start == 0
        ]
        heard = [self._network(ids[None, :, start : start + WINDOW]) for start in starts]
        return Told(*(np.mean(parts, axis=0) for parts in zip(*map(_parts, heard), strict=True)))


def critic_in(folder: Path) -> Critic | None:
    """The critic that a checkpoint's folder holds, if it holds one.

    Raises:
        ModelDamaged: it is there and cannot be read.
    """
    if not (folder / CRITIC).is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / CRITIC, framework="numpy") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["critic"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        with safe_open(folder / "model.safetensors", framework="numpy") as file:
            codebooks: FloatArray = file.get_tensor(CODEBOOKS).astype(np.float32)
        tempi = np.geomspace(*facts["tempi"])
        network = CriticNetwork(
            weights, codebooks, tempi, slice(*facts["told"]), facts["frame_rate"]
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelDamaged(
            f"{folder / CRITIC} cannot be read: {error}. Fetch the checkpoint again"
        ) from error
    return Critic(network, facts["families"])


def _likeliest(heard: FloatArray, key: Key) -> int:
    semitones = max(NEAREST_FIRST, key=lambda moved: _moved(heard, key, moved))
    return semitones if _moved(heard, key, semitones) >= SURE else 0


def _moved(heard: FloatArray, key: Key, semitones: int) -> float:
    """How likely a take is in ``key`` when it is moved, by what was ``heard [24]``."""
    return float(heard.reshape(2, 12)[_minor(key.mode), (key.tonic - semitones) % 12])


def _minor(mode: str) -> int:
    return int(mode == "minor")


def _parts(told: Told) -> tuple[FloatArray, ...]:
    return told.tempo, told.key, told.lead, told.drums, told.alone
