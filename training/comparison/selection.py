"""Which variant stands for its family: the best on validation, which is all this file gets to see."""

from collections.abc import Mapping


def choose(validation: Mapping[str, Mapping[int, float]]) -> str | None:
    """The name of the candidate with the best mean validation accuracy, the first of equals.

    Means are over the seeds that every candidate with any has; without such seeds, over each one's own.

    Args:
        validation: by candidate, in the order listed, its accuracy by seed.

    Returns:
        None where no candidate has any seed.
    """
    known = {name: found for name, found in validation.items() if found}
    if not known:
        return None
    shared = set.intersection(*(set(found) for found in known.values()))
    means = {name: _mean([found[seed] for seed in sorted(shared or found)]) for name, found in known.items()}
    return max(means, key=means.__getitem__)


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 12)  # equal accuracies in another order are equal
