"""The learning itself: batches, loss, what is held out, early stopping, and going on after a kill.

Everything that chance decides of a step follows from the seed and the step's number, so a training
that was killed and goes on ends with the same weights as one that was not.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cadenza import delay
from cadenza.checkpoints import Parts
from cadenza.errors import DeviceError, ModelDamaged, OptionError
from cadenza.files import write_atomically
from cadenza.finetune.lora import Lora
from cadenza.finetune.preparing import Material, Piece, fingerprint
from cadenza.finetune.settings import Report, Settings
from cadenza.states import text_states
from cadenza.types import Progress

OWN = 0.5  # rows of the model's own music a step, for each row that is learned
KEEP = 4.0  # how much a nat of straying counts beside one that is learned
WITHOUT_TEXT = 0.3  # share of those that are played without their text, as guidance needs them
HELD_OUT, TOO_MUCH = 0.1, 0.2  # shares of the seconds
MAX_HELD_OUT = 32  # pieces
WARM_UP = 20  # steps
LAST = 0.1  # of the rate at the end


def held_out(material: Material, seed: int) -> tuple[list[Piece], list[Piece]]:
    """What is learned from, and what is held out: whole files where there are several, because
    pieces of one recording are alike, else pieces that follow each other. Of fewer than three
    pieces none can be spared, so all are both."""
    pieces = list(material.pieces)
    if len(pieces) < 3:
        return pieces, pieces
    rng = np.random.default_rng(seed)
    files: dict[Path, list[Piece]] = {}
    for piece in pieces:
        files.setdefault(piece.file, []).append(piece)
    if len(files) < 3:
        held = _part(pieces, material.seconds, rng)
    else:
        order = [list(files.values())[number] for number in rng.permutation(len(files))]
        smallest = min(order, key=_seconds)
        held = _whole_files(order, material.seconds) or smallest
        if len(held) > MAX_HELD_OUT:
            held = _part(held, material.seconds, rng)
    chosen = {id(piece) for piece in held}
    return (
        [piece for piece in pieces if id(piece) not in chosen],
        [piece for piece in pieces if id(piece) in chosen],
    )


def _whole_files(files: Sequence[list[Piece]], seconds: float) -> list[Piece]:
    """Of the first files enough to be held out; one that would be too much is passed over."""
    held: list[Piece] = []
    for file in files:
        both = held + file
        if len(both) <= MAX_HELD_OUT and _seconds(both) <= TOO_MUCH * seconds:
            held = both
        if _seconds(held) >= HELD_OUT * seconds:
            break
    return held


def _part(pieces: list[Piece], seconds: float, rng: np.random.Generator) -> list[Piece]:
    """So many pieces that follow each other as are held out of ``seconds`` in all."""
    wanted = HELD_OUT * seconds * len(pieces) / _seconds(pieces)
    count = min(max(round(wanted), 1), MAX_HELD_OUT)
    first = rng.integers(len(pieces) - count + 1)
    return pieces[first : first + count]


def _seconds(pieces: Sequence[Piece]) -> float:
    return sum(piece.seconds for piece in pieces)


def _shortened(caption: str | None, rng: np.random.Generator) -> str | None:
    """The beginning of a caption with some of what follows, so that it works alone, too."""
    first, *others = (caption or "").split(", ")
    kept = [part for part in others if rng.random() < 0.5]
    return ", ".join([first, *kept]) or None


class Trainer:
    """One training, step by step; ``place`` is the file that it goes on from.

    Raises:
        MissingPackage: peft is not installed.
        OptionError: at ``place`` lies the training of something else.
        ModelDamaged: what lies at ``place`` cannot be read.
    """

    def __init__(
        self,
        parts: Parts,
        material: Material,
        own: Sequence[Piece],
        settings: Settings,
        place: Path,
    ) -> None:
        self._model: Any = parts.model
        self._tokenizer = parts.tokenizer
        self._settings, self._place, self._own = settings, place, own
        self._learned, self._held = held_out(material, settings.seed)
        self.lora = Lora(parts.model, parts.identity, settings.rank, settings.seed)
        config: Any = parts.model.config.decoder
        self._special: int = config.pad_token_id
        self._delays = delay.delays_of(config.num_codebooks, parts.channels)
        self._optimiser = torch.optim.AdamW(self.lora.weights.values(), weight_decay=0.0)
        heard = fingerprint(material.pieces), fingerprint(own)
        asked = json.dumps([parts.identity.sha256, asdict(settings), heard])
        self._asked = hashlib.sha256(asked.encode()).hexdigest()
        self.step = self._best_step = self._looks = 0
        self._best = math.inf
        self.best = self._copy()
        if place.exists():
            self._resume()

    @property
    def caption(self) -> str | None:
        """Of a piece that is held out."""
        return self._held[0].caption

    @property
    def helped(self) -> bool:
        """Whether anything was better than the model as it was."""
        return self._best_step > 0

    def run(self, progress: Progress) -> Iterator[Report]:
        """Learn until the steps are done, or until what is held out has ceased to become likelier.

        Reports every ``settings.every`` steps, when the state has just been written.

        Raises:
            OutputError: the state cannot be written; the last one is kept.
            DeviceError: the device's memory is full.
        """
        settings = self._settings
        try:
            if self.step == 0 and self._best == math.inf:
                yield self._look(None)
            while self.step < settings.steps and self._looks < settings.patience:
                losses = []
                for _ in range(min(settings.every, settings.steps - self.step)):
                    losses.append(self._learn())
                    progress(self.step, settings.steps)
                yield self._look(float(torch.stack(losses).mean()))
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"the memory of the device is full with {settings.batch} pieces at once: "
                "choose a smaller --batch, or a smaller model"
            ) from error

    def _learn(self) -> Tensor:
        settings = self._settings
        rng = np.random.default_rng([settings.seed, self.step])
        count = min(settings.batch, len(self._learned))
        rows = [self._learned[n] for n in rng.choice(len(self._learned), count, replace=False)]
        asked = [replace(piece, caption=_shortened(piece.caption, rng)) for piece in rows]
        loss: Tensor = self._heard(self._batch(asked)).loss
        kept = [self._own[n] for n in rng.integers(len(self._own), size=math.ceil(OWN * count))]
        bare = rng.random(len(kept)) < WITHOUT_TEXT
        known = [replace(p, caption=None) if b else p for p, b in zip(kept, bare, strict=True)]
        # One after the other, so that only one of the two lies in memory.
        loss.backward()
        (KEEP * self._strayed(self._batch(known))).backward()
        for group in self._optimiser.param_groups:
            group["lr"] = settings.rate * self._share()
        nn.utils.clip_grad_norm_(self.lora.weights.values(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.step += 1
        return loss.detach()

    def _share(self) -> float:
        """Of the rate: a short climb, then a cosine down."""
        fall = 0.5 * (1 + math.cos(math.pi * self.step / self._settings.steps))
        return min(1.0, (self.step + 1) / WARM_UP) * (LAST + (1 - LAST) * fall)

    def _batch(self, pieces: Sequence[Piece]) -> dict[str, Tensor]:
        """What the decoder reads: delayed columns, and the states of the captions."""
        columns = [delay.apply(piece.codes, self._delays, self._special) for piece in pieces]
        longest = max(part.shape[1] for part in columns)
        labels = np.full((len(pieces), longest, len(self._delays)), self._special, np.int64)
        for row, part in zip(labels, columns, strict=True):
            row[: part.shape[1]] = part.T
        heard = [text_states(self._model, self._tokenizer, piece.caption) for piece in pieces]
        states = np.zeros((len(pieces), max(map(len, heard)), heard[0].shape[1]), np.float32)
        mask = np.zeros(states.shape[:2], np.int64)
        for n, text in enumerate(heard):
            states[n, : len(text)], mask[n, : len(text)] = text, 1
        decoder = self._model.decoder
        return {
            "labels": torch.from_numpy(labels).to(decoder.device),
            "encoder_hidden_states": torch.from_numpy(states).to(decoder.device, decoder.dtype),
            "encoder_attention_mask": torch.from_numpy(mask).to(decoder.device),
        }

    def _heard(self, batch: dict[str, Tensor]) -> Any:
        """Logits ``[B * K, T, V]``, and as ``loss`` the mean cross-entropy of every codebook's next
        token.

        Source: ``MusicgenForCausalLM.forward``, which shifts the labels; the special id, which
        fills the gaps of the delay pattern, is never compared.
        """
        return self._model.decoder(**batch, use_cache=False)

    def _strayed(self, batch: dict[str, Tensor]) -> Tensor:
        """How far the model has strayed from what it was: Kullback-Leibler divergence in nats a
        token, of music that it made itself.

        Without it nine pieces are enough to make everything sound like them. Source: prior
        preservation, Ruiz et al. 2022, arXiv:2208.12242; here the whole distribution is kept, not
        samples of it.
        """
        with self.lora.off(), torch.no_grad():
            before = self._heard(batch).logits
        now = self._heard(batch).logits
        there = (batch["labels"] != self._special).transpose(1, 2).flatten(0, 1)
        old, new = (torch.log_softmax(x[there].float(), dim=-1) for x in (before, now))
        return nn.functional.kl_div(new, old, log_target=True, reduction="batchmean")

    @torch.no_grad()
    def _evaluate(self) -> float:
        """The loss on what is held out, with captions, each token counted alike."""
        total = frames = 0.0
        for first in range(0, len(self._held), self._settings.batch):
            rows = self._held[first : first + self._settings.batch]
            size = sum(piece.codes.shape[1] for piece in rows)
            total += size * float(self._heard(self._batch(rows)).loss)
            frames += size
        return total / frames

    def _look(self, loss: float | None) -> Report:
        found = self._evaluate()
        best = found < self._best
        self._looks = 0 if best else self._looks + 1
        if best:
            self._best, self._best_step, self.best = found, self.step, self._copy()
        self._save()
        return Report(self.step, loss, found, best and self.step > 0)

    def _copy(self) -> dict[str, Tensor]:
        return {name: weight.detach().cpu().clone() for name, weight in self.lora.weights.items()}

    def _save(self) -> None:
        state = {
            "asked": self._asked,
            "step": self.step,
            "best_step": self._best_step,
            "looks": self._looks,
            "best_loss": self._best,
            "best": self.best,
            "weights": self._copy(),
            "optimiser": self._optimiser.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_atomically(self._place, content.getvalue())

    def _resume(self) -> None:
        try:
            state = torch.load(self._place, map_location="cpu", weights_only=True)
            other = state["asked"] != self._asked
            if not other:
                self._optimiser.load_state_dict(state["optimiser"])
                with torch.no_grad():
                    for name, weight in self.lora.weights.items():
                        weight.copy_(state["weights"][name])
                self.step, self._best_step = state["step"], state["best_step"]
                self._looks, self._best, self.best = (
                    state["looks"],
                    state["best_loss"],
                    state["best"],
                )
        except (
            OSError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
            pickle.UnpicklingError,
        ) as error:
            raise ModelDamaged(
                f"{self._place} cannot be read ({error}): remove it to begin anew"
            ) from error
        if other:
            raise OptionError(
                f"{self._place.parent} holds a training with other sounds, captions or settings: "
                "choose another place, or remove that folder to begin anew"
            )
