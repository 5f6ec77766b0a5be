"""Proof of what a graph's outputs promise of one another, and of what must not change them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bundle.answer import COALITIONS, LOGITS, PRESENT, SHARE, SHIFT
from bundle.coalitions import membership, names
from bundle.modalities import Array, Modality
from export.errors import ValueMismatch
from export.feeds import Feed, masked, overwritten
from export.parity import TOLERANCE, difference, run

EXTREMES = 3
"""Ways in which `overwritten` fills what is absent."""


def prove_shares(session: Any, feeds: list[Feed]) -> None:
    """The shares add up to the logits, also where modalities are absent.

    Raises:
        ValueMismatch: they do not.
    """
    for feed in feeds:
        found = run(session, feed)
        total = np.sum([values for name, values in found.items() if name.startswith(SHARE)], axis=0)
        scale = 1.0 + float(np.abs(found[LOGITS]).max())
        worst = float(np.abs(total - found[LOGITS]).max()) / scale
        if not worst <= TOLERANCE:
            raise ValueMismatch(f"the shares do not add up to the logits: they miss them by {worst:.2g}")


def prove_coalitions(session: Any, feeds: list[Feed], modalities: tuple[str, ...]) -> None:
    """Every coalition's logits are those that the graph gives where only its modalities are there.

    So the last of them are the logits themselves, and where a sample lacks modalities, those of what it has.

    Raises:
        ValueMismatch: they are not.
    """
    for feed in feeds:
        found = run(session, feed)[COALITIONS]
        for number, (name, members) in enumerate(zip(names(modalities), membership(len(modalities)), strict=True)):
            expected = run(session, masked(feed, feed[PRESENT] & members))[LOGITS]
            apart = _apart(found[:, number], expected)
            if not apart <= TOLERANCE:
                raise ValueMismatch(
                    f"coalition {name!r} differs by {apart:.2g} from the logits of a sample with these modalities only"
                )


def prove_absence(session: Any, modalities: Mapping[str, Modality], feeds: list[Feed]) -> None:
    """What stands in the place of an absent modality has no influence at all, and its distance is 0.

    Raises:
        ValueMismatch: it has.
    """
    for feed in feeds:
        expected = run(session, feed)
        for position, name in enumerate(modalities):
            if expected[SHIFT + name][~feed[PRESENT][:, position]].any():
                raise ValueMismatch(f"{SHIFT + name} of an absent modality is not 0")
        for number in range(EXTREMES):
            for output, values in run(session, overwritten(modalities, feed, number)).items():
                if not np.array_equal(values, expected[output]):
                    raise ValueMismatch(f"{output} depends on what stands in the place of an absent modality")


def prove_alone(session: Any, together: Feed, alone: list[Feed]) -> None:
    """No sample's answer depends on who else is in the batch, nor on the padding they cause.

    Args:
        session: of the graph.
        together: a batch, of samples with and without all modalities.
        alone: each of its samples as a batch of one, without padding.

    Raises:
        ValueMismatch: one does.
    """
    found, name, index = farthest_alone(session, together, alone)
    if found > TOLERANCE:
        raise ValueMismatch(f"{name} of sample {index} differs by {found:.2g} alone and in a batch")


def farthest_alone(session: Any, together: Feed, alone: list[Feed]) -> tuple[float, str, int]:
    """How much the company of others changes an output at most, and of which output and sample.

    The arguments are those of `prove_alone`.
    """
    batch = run(session, together)
    return max(
        (difference(name, values, batch[name][index : index + 1]), name, index)
        for index, feed in enumerate(alone)
        for name, values in run(session, feed).items()
    )


def _apart(one: Array, other: Array) -> float:
    """Largest difference of logits, as a share of one more than the largest."""
    return float(np.abs(one - other).max()) / (1.0 + float(np.abs(other).max()))
