"""A person's own sound: a folder of audio → an adapter for a model.

::

    folder ─ sounds ─► pieces ─ preparing ─► codes and captions ─ training ─► adapter

``lora.py`` is the only part that knows peft. What an adapter is, and how it joins a model, is told
in :mod:`cadenza.checkpoints.adapter`: whoever uses one needs nothing of this folder.
"""

from cadenza.finetune.finetuning import Finetuning
from cadenza.finetune.preparing import Material
from cadenza.finetune.settings import Report, Settings

__all__ = ["Finetuning", "Material", "Report", "Settings"]
