"""What a take earns: how sure the listener is that it hears what the prompt asks for."""

from __future__ import annotations

import torch
from torch import Tensor

from training.language_model.facts import Facts
from training.practice.listener import Told, alone_of
from training.practice.prompts import Prompts

WORTH = (1.0, 1.0, 0.5, 0.7, 0.5, 0.7)  # tempo, key, mode, lead, drums, alone: what is hard more
NEAR = 0.03  # of a tempo's logarithm: half right is at 1.18 times of it


def heard(told: Told, tempi: Tensor, facts: Facts) -> Tensor:
    """How likely each of ``prompts.FIGURES`` is as ``facts`` have it, ``[B, 6]``."""
    _, lead, drums, key = facts.labels.long().unbind(1)
    off = (tempi.log() - facts.tempo.log()[:, None]) / NEAR
    keys = told.key.exp()
    key = key.clamp(min=0)  # nobody asks for the key of drums alone
    mode = keys.unflatten(1, (2, 12)).sum(2).gather(1, key[:, None] // 12)
    chosen = (
        keys.gather(1, key[:, None]),
        mode,
        *(
            likely.exp().gather(1, truth[:, None])
            for likely, truth in (
                (told.lead, lead),
                (told.drums, drums),
                (told.alone, alone_of(facts)),
            )
        ),
    )
    near = (told.tempo.exp() * (-0.5 * off.square()).exp()).sum(1, keepdim=True)
    return torch.cat([near, *chosen], 1)


def earned(likely: Tensor, prompts: Prompts) -> Tensor:
    """What takes of ``prompts`` earn by what is ``likely [B, 6]`` of them, ``[B]``."""
    return (likely * prompts.asked * torch.tensor(WORTH)).sum(1)


def advantages(beginnings: Tensor, whole: Tensor, each: int) -> Tensor:
    """By how much more than others of the same prompt, ``each`` in a row, every part of a take
    earned: ``[B, 1 + N]`` of what the takes earn, ``whole [B]``, and ``N`` ever longer beginnings
    of them, ``beginnings [N, B]``; 1 is usual.

    The first part has a share in all that follows. A later one is not praised for what was heard
    before it: the rest is counted from what a take that begins so earns usually, a line fitted to
    these very takes. The mean of a prompt's takes as what is usual is from Shao et al. 2024
    (arXiv:2402.03300); not so their division by the spread among them, which makes the most of
    prompts whose takes hardly differ.
    """
    result = _beyond_usual(whole, each)
    parts = [result]
    for before in (_beyond_usual(beginning, each) for beginning in beginnings):
        slope = (before * result).sum() / (before.square().sum() + 1e-6)
        parts.append(result - slope * before)
    return torch.stack(parts, 1) / (result.std() + 1e-6)


def _beyond_usual(earned: Tensor, each: int) -> Tensor:
    of_prompt = earned.view(-1, each)
    return (of_prompt - of_prompt.mean(1, keepdim=True)).flatten()
