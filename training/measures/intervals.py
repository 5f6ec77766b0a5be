"""Intervals of a share that was counted, such as an accuracy."""

import math
from statistics import NormalDist


def wilson(right: int, samples: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a probability of which `right` out of `samples` were seen (Wilson 1927, without correction).

    Unlike the normal interval it stays within 0..1 and has a width where all or none are right. Samples count as
    independent: where several are of one patient or series it is too narrow.

    Args:
        right: how many were right.
        samples: how many there were, at least 1.
        level: how often such an interval holds the probability, 0..1.
    """
    z, share = NormalDist().inv_cdf(0.5 + level / 2), right / samples
    middle = share + z * z / (2 * samples)
    reach = z * math.sqrt(share * (1 - share) / samples + (z / (2 * samples)) ** 2)
    scale = 1 + z * z / samples
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
