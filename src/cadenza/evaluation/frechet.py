"""How far two clouds of points are from each other, as normal distributions.

The distance of Fréchet (Dowson & Landau 1982), the square of it as everywhere in this field:
``|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½)``. The trace of the root is the sum of the singular values
of ``C1^½ C2^½``, which stays exact where a covariance is singular and a root of the product, as
``scipy.linalg.sqrtm`` takes it, gets imaginary parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Normal:
    """A normal distribution: ``mean [D]``, ``covariance [D, D]``."""

    mean: Values
    covariance: Values


def fitted(points: Values) -> Normal:
    """The distribution of ``points [N, D]``, its covariance shrunk towards a sphere.

    From few points the small directions come out too small and the large ones too large; how much
    of a sphere is mixed in follows from the points (Ledoit & Wolf 2004, «A well-conditioned
    estimator for large-dimensional covariance matrices»).
    """
    mean = points.mean(axis=0)
    centred = points - mean
    count, size = centred.shape
    sample = centred.T @ centred / count
    sphere = np.trace(sample) / size * np.eye(size)
    spread = np.square(sample - sphere).sum()
    uncertain = np.square(np.square(centred).sum(axis=1)).sum() / count**2
    uncertain = np.clip(uncertain - np.square(sample).sum() / count, 0, spread)
    share = uncertain / spread if spread > 0 else 0.0
    return Normal(mean, (1 - share) * sample + share * sphere)


def distance(one: Normal, other: Normal) -> float:
    """The squared distance of Fréchet; 0 for equal distributions."""
    between = float(np.square(one.mean - other.mean).sum())
    shared = np.linalg.svd(_root(one.covariance) @ _root(other.covariance), compute_uv=False).sum()
    apart = np.trace(one.covariance) + np.trace(other.covariance) - 2 * shared
    return between + max(float(apart), 0.0)  # rounding may leave it a hair below


def _root(covariance: Values) -> Values:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)
