"""A folder of sounds → an adapter, from the first check to the last file.

::

    my-sound/adapter_config.json         the adapter, the best so far
    my-sound/adapter_model.safetensors
    my-sound/training/pieces.json        what it learns from
    my-sound/training/codes/             the sounds as codes, so that they are encoded once
    my-sound/training/own.npz            music of the model itself, which it is to keep
    my-sound/training/samples/           what the adapter makes of a caption, from time to time
    my-sound/training/state.pt           while it is not finished: what it goes on from
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cadenza.checkpoints import Adapter, Parts, load_parts, read_adapters, resolve
from cadenza.checkpoints.adapter import CONFIG, WEIGHTS
from cadenza.devices import choose_device
from cadenza.errors import ModelError, OptionError, OutputError
from cadenza.files import write_atomically
from cadenza.finetune import store
from cadenza.finetune.lora import check_installed
from cadenza.finetune.preparing import Material, Piece, prepare
from cadenza.finetune.settings import Report, Settings
from cadenza.prompting import check_prompt, presets
from cadenza.request import GenerateRequest
from cadenza.types import Progress

if TYPE_CHECKING:
    from cadenza.finetune.training import Trainer
    from cadenza.model import Model

SAMPLE_SECONDS = 6.0
OWN_PIECES, OWN_SECONDS = 16, 6.0


def _silent(done: int, total: int) -> None:
    """Progress that nobody asked for."""


class Finetuning:
    """What is learned from ``folder`` becomes an adapter in ``output``.

    Called again with the same arguments, one that was interrupted goes on.

    Args:
        model: a short name, a hub id or a folder; one that follows text alone.
        words: what the sound is to be called: captions that the person did not write begin so.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        offline: never ask the hub.

    Raises:
        MissingPackage: peft is not installed.
        OutputError: ``output`` cannot be written, or holds something already.
        OptionError: no such folder, a melody model, a setting out of its range.
        ModelError: the model is not to be found or damaged.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        output: str | os.PathLike[str],
        *,
        model: str = "small",
        words: str = "",
        settings: Settings | None = None,
        device: str = "auto",
        offline: bool = False,
        progress: Progress | None = None,
    ) -> None:
        check_installed()
        if words:
            check_prompt(words, "words")
        self._folder, self.output = Path(folder), Path(os.path.realpath(output))
        if not self._folder.is_dir():
            raise OptionError(f"{folder} is not a folder: give one with sounds in it")
        self._words, self._settings = words, settings or Settings()
        self._device = choose_device(device)
        self._training = self.output / "training"
        self._state = self._training / "state.pt"
        self._check_output()
        self._checkpoint = resolve(model, offline=offline, progress=progress)

    @property
    def licence(self) -> str:
        """Of the model, and so of what is made of it."""
        return self._checkpoint.licence

    def prepare(self, progress: Progress = _silent) -> Material:
        """Load the model, then cut, sift, encode and caption the sounds.

        Raises:
            CadenzaError: see :func:`cadenza.finetune.preparing.prepare`.
        """
        from cadenza.codec import Codec

        model: Any = self._parts.model
        with self._alone():
            material = prepare(
                self._folder,
                Codec(model.audio_encoder, self._parts.channels),
                self._parts.identity.sha256,
                self._made("codes"),
                self.output,
                self._words,
                progress,
            )
            pieces = [
                {"file": str(p.file), "start": p.start, "seconds": p.seconds, "caption": p.caption}
                for p in material.pieces
            ]
            text = json.dumps(pieces, ensure_ascii=False, indent=1)
            write_atomically(self._training / "pieces.json", f"{text}\n".encode())
        return material

    def train(self, material: Material, progress: Progress = _silent) -> Iterator[Report]:
        """Learn, and keep the adapter whenever it is better than before; a report at each look.

        Raises:
            ModelError: nothing that was learned was better than the model as it was.
            CadenzaError: see :class:`cadenza.finetune.training.Trainer`.
        """
        from cadenza.finetune.training import Trainer

        with self._alone():
            trainer = Trainer(self._parts, material, self._own(), self._settings, self._state)
            for report in trainer.run(progress):
                if report.best:
                    self._keep(trainer)
                    self._sample(trainer.caption, report.step)
                yield report
            if not trainer.helped:
                raise ModelError(
                    "what was held out did not become likelier, so there is no adapter: give more "
                    "sounds, or ones that are more alike"
                )
            self._keep(trainer)
            self._state.unlink()

    @cached_property
    def _parts(self) -> Parts:
        import torch

        # Sixteen bits where the device computes in them; what is learned always has thirty-two.
        half = self._device == "cuda" and torch.cuda.is_bf16_supported()
        dtype = torch.bfloat16 if half else torch.float32
        parts = load_parts(self._checkpoint, device=self._device, dtype=dtype)
        if parts.family != "text":
            raise OptionError(
                f"{parts.identity.name} follows a melody, and only models that follow text alone "
                "can be fine-tuned: choose nano, small, or another of those"
            )
        return parts

    def _check_output(self) -> None:
        if self.output.exists() and not self.output.is_dir():
            raise OutputError(f"{self.output} is a file: choose a folder for the adapter")
        if (self.output / WEIGHTS).exists() and not self._state.exists():
            raise OutputError(f"{self.output} holds a finished adapter: choose another place")
        there = self.output.is_dir() and any(self.output.iterdir())
        if there and not self._training.is_dir():
            raise OutputError(f"{self.output} is not empty: choose another place")

    def _made(self, name: str) -> Path:
        """A folder beside the state, made if it is not there."""
        folder = self._training / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {folder}: {error.strerror or error}") from error
        return folder

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time; the lock of one that died is free."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._made("") / ".lock", timeout=0):
                yield
        except Timeout as error:
            raise OutputError(
                f"another process is at work in {self.output}: wait for it, or choose another place"
            ) from error

    def _keep(self, trainer: Trainer) -> None:
        """Write the best adapter so far; the file that makes it one comes last."""
        import safetensors.torch

        header = trainer.lora.header()
        write_atomically(self.output / CONFIG, trainer.lora.config())
        write_atomically(self.output / WEIGHTS, safetensors.torch.save(trainer.best, header))

    def _own(self) -> list[Piece]:
        """Music of the model itself, which it is to go on making: a few ready prompts, once."""
        place = self._training / "own.npz"
        prompts = list(presets().values())[:OWN_PIECES]
        codes, made_by = store.kept(place), self._parts.identity.sha256
        # Another model may have been at work here, and have been stopped.
        if codes is None or str(codes.pop("model", "")) != made_by or len(codes) != len(prompts):
            model = self._player(())
            asked = [
                GenerateRequest(prompt, duration=OWN_SECONDS, seed=seed)
                for seed, prompt in enumerate(prompts)
            ]
            takes = model.generate_batch(asked)
            codes = {str(seed): take.codes.ids for seed, take in enumerate(takes)}
            store.keep(place, {**codes, "model": np.array(made_by)})
        return [
            Piece(place, 0.0, OWN_SECONDS, prompt, codes[str(seed)])
            for seed, prompt in enumerate(prompts)
        ]

    def _player(self, adapters: tuple[Adapter, ...]) -> Model:
        from cadenza.model import Model
        from cadenza.torch_machine import load_machine

        checkpoint = replace(self._checkpoint, adapters=adapters)
        return Model(load_machine(checkpoint, self._device, "auto"), checkpoint.folder)

    def _sample(self, caption: str | None, step: int) -> None:
        """Let the adapter play a caption, as ``--adapter`` would."""
        model = self._player(read_adapters({self.output: 1.0}))
        take = model.generate(caption, duration=SAMPLE_SECONDS, seed=self._settings.seed)
        take.save(self._made("samples") / f"step-{step:05}.wav")
