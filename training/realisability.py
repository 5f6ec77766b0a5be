"""How well one modality's features predict another's: the realisability error 𝒜 of Eq. 11 of InfoBridge, as a figure.

A diagnostic, not a bound: the constants of the paper's Eq. 12 cannot be computed, and while mutual information is the
same under every bijection of the features, 𝒜 is not. The class of functions 𝒱 is ridge regression.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold

Vectors = NDArray[np.float64]
STRENGTHS = tuple(float(10.0**power) for power in range(-2, 7))
"""Ridge penalties to choose from."""
FOLDS = 5
MOST = 10_000
"""Training samples fitted on; more are sampled down to so many, always the same."""


@dataclass(frozen=True)
class Sources:
    """Features of one split, of the modality that predicts and the one that is predicted, for the same samples."""

    given: Vectors
    """z1, `(samples, width)`."""
    wanted: Vectors
    """z2, `(samples, width)`."""


@dataclass(frozen=True)
class Realisability:
    """Of one direction between two modalities."""

    error: float
    """𝒜: mean of |v(z1) - z2| over the test samples, in the units of z2."""
    constant_error: float
    """The same where v gives the mean of the training split's z2, whatever z1 is."""
    strength: float
    """The ridge penalty chosen, on inputs of unit variance."""

    @property
    def normalised(self) -> float:
        """𝒜 relative to knowing nothing of z1: 0 is a perfect prediction, 1 none; NaN where z2 is constant."""
        return self.error / self.constant_error if self.constant_error > 0.0 else float("nan")


def realisability(train: Sources, test: Sources, groups: NDArray[np.int64]) -> Realisability:
    """Fit ridge regression from z1 to z2 on the training split, and measure it on the test split.

    The penalty has the least mean squared error in cross-validation within the training split, groups kept whole.

    Args:
        train: features of the training split, of two groups or more.
        test: of the test split.
        groups: `(samples,)` of the training split: samples of one group are near-duplicates.
    """
    if len(groups) > MOST:
        kept = np.random.default_rng(0).choice(len(groups), MOST, replace=False)
        train, groups = Sources(train.given[kept], train.wanted[kept]), groups[kept]
    spread = train.given.std(axis=0)
    scale = np.where(spread > 0.0, spread, 1.0)
    centre = train.given.mean(axis=0)
    folds = GroupKFold(min(FOLDS, len(np.unique(groups)))).split(train.given, groups=groups)
    ridge = RidgeCV(STRENGTHS, scoring="neg_mean_squared_error", cv=list(folds))
    ridge.fit((train.given - centre) / scale, train.wanted)
    predicted = np.asarray(ridge.predict((test.given - centre) / scale)).reshape(test.wanted.shape)
    constant = train.wanted.mean(axis=0)
    return Realisability(_error(predicted, test.wanted), _error(constant, test.wanted), float(ridge.alpha_))


def _error(predicted: Vectors, wanted: Vectors) -> float:
    return float(np.linalg.norm(predicted - wanted, axis=1).mean())
