"""A short name, a hub id or a folder → the parts of a model.

::

    resolve(name) ─► Checkpoint ─┬─► load_parts ─► Parts      (the model, ready to use; adapters in)
                                 └─► describe   ─► Architecture (what it is made of, and checks)

Listing and finding models loads neither torch nor transformers.
"""

from cadenza.checkpoints.adapter import Adapter, read_adapters
from cadenza.checkpoints.architecture import Architecture, Check, Stage, describe
from cadenza.checkpoints.catalogue import CATALOGUE, Entry, terms
from cadenza.checkpoints.finding import Checkpoint, ListedModel, list_models, resolve
from cadenza.checkpoints.loading import Parts, load_parts

__all__ = [
    "CATALOGUE",
    "Adapter",
    "Architecture",
    "Check",
    "Checkpoint",
    "Entry",
    "ListedModel",
    "Parts",
    "Stage",
    "describe",
    "list_models",
    "load_parts",
    "read_adapters",
    "resolve",
    "terms",
]
