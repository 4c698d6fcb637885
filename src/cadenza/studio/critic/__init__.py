"""A checkpoint's own critic: how well a take does what its prompt asks for, told from its codes.

::

    prompt ─► Wanted ─────────────┐
    codes ─► CriticNetwork ─► Told ─┴─► Critic.weigh ─► how likely each wish is fulfilled

A checkpoint folder may hold one, ``critic.safetensors``; nano's does. It was taught on the codes of
pieces whose every fact is known (``training.critic``), and needs a few milliseconds for ten
seconds of music, so that many takes can be heard where one is asked for.
"""

from cadenza.studio.critic.critic import Critic, Opinion, critic_in
from cadenza.studio.critic.network import CriticNetwork, Told, pack
from cadenza.studio.critic.wanted import Wanted, lead_first, wanted_of

__all__ = [
    "Critic",
    "CriticNetwork",
    "Opinion",
    "Told",
    "Wanted",
    "critic_in",
    "lead_first",
    "pack",
    "wanted_of",
]
