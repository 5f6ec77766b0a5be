"""What of a calibration error is noise: the size of a gap that is measured is larger than that of the gap itself."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
FARTHEST = 40.0
"""Standard errors beyond which noise adds nothing."""


def expected_size(gaps: Floats, noise: Floats) -> Floats:
    """E|X| of Gaussians with these means and standard deviations (a folded normal's mean)."""
    noisy = noise > np.abs(gaps) / FARTHEST
    scaled = np.divide(gaps, noise, out=np.zeros_like(gaps), where=noisy)
    density = np.exp(-(scaled**2) / 2) / np.sqrt(2 * np.pi)
    found: Floats = np.where(noisy, 2 * noise * density + gaps * (2 * ndtr(scaled) - 1), np.abs(gaps))
    return found


def debiased(weights: Floats, gaps: Floats, noise: Floats) -> Floats:
    """Σ weight · |gap| without its bias, at least 0.

    As Kumar, Liang and Ma (2019) do it ("Verified uncertainty calibration"), the bias is what Gaussian noise adds to
    the sizes of gaps, here in closed form instead of by resampling. They add it to the measured gaps. Those are larger
    than the true ones, by that very noise, and the larger a gap, the less noise adds to it: in a perfectly calibrated
    model some 60 % of the bias stays. So here it is added to gaps drawn towards 0 until their weighted squares sum to
    what is unbiased, Σ weight · (gap² - noise²) (Bröcker 2012). In simulations with 200 to 2000 samples, that left
    about a fifth of the bias in calibrated models, and its largest bias over calibrated and miscalibrated ones was less
    than half as large. The price: with 400 samples, an error of about 0.05 is given as up to 0.015 less. So the band
    of a calibrated model belongs beside it.

    Args:
        weights: `(..., bins)` share of the samples, sum 1.
        gaps: `(..., bins)` measured, of either sign.
        noise: `(..., bins)` standard errors of the gaps.

    Returns:
        `(...)`.
    """
    squares, noisy = (weights * gaps**2).sum(axis=-1), (weights * noise**2).sum(axis=-1)
    kept = np.clip(1 - np.divide(noisy, squares, out=np.ones_like(noisy), where=squares > 0), 0, 1)
    likely = np.sqrt(kept)[..., None] * gaps
    bias = (weights * (expected_size(likely, noise) - np.abs(likely))).sum(axis=-1)
    found: Floats = np.maximum((weights * np.abs(gaps)).sum(axis=-1) - bias, 0.0)
    return found
