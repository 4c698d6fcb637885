"""Numbers as a person reads them."""

from __future__ import annotations

from cadenza.evaluation.figures import Kind


def value_in_words(kind: Kind, value: float) -> str:
    """A figure with its unit."""
    match kind.unit:
        case "%":
            return f"{value:.0f} %"
        case "×":
            return f"{value:.2f} ×"
        case "":
            return f"{value:.3f}"
        case _:
            return f"{value:.1f} {kind.unit}"
