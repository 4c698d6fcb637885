"""A folder of takes in numbers: what they hold of their prompts, and how they sound together."""

from cadenza.evaluation.evaluation import Evaluation, evaluate
from cadenza.evaluation.page import encode

__all__ = ["Evaluation", "encode", "evaluate"]
