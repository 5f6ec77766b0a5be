"""Proof that an engine answers as the graph that it was built from, on the card that it was built for."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from bundle.answer import LOGITS, PRESENT, softmax
from bundle.execution import Precision
from bundle.modalities import Array
from bundle.plan import Proof
from export import parity
from export.errors import ValueMismatch
from export.feeds import Feed

TOLERANCES: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "bf16": 0.05, "int8": 0.02}
"""Largest difference of a probability; of a distance, as a share of one more than itself. In 32 bits sums are taken in
another order, fp16 and bf16 keep 10 and 7 bits of each number. Of int8 the difference is that to the graph in eight
bits, which was itself measured: values that lie on the border of two integers fall to either side."""


class Runs(Protocol):
    """What gives outputs by name for inputs by name: an engine on a card."""

    def run(self, feed: Feed) -> dict[str, Array]:
        """Outputs by name."""
        ...


def prove(engine: Runs, session: Any, feeds: Iterable[Feed], precision: Precision, most: int) -> Proof:
    """Compare all outputs on all samples, and every sample's label.

    Args:
        engine: on the card.
        session: of the graph that it must answer like.
        feeds: batches of samples, of any sizes.
        precision: of the engine.
        most: samples that the engine takes at once.

    Raises:
        ValueMismatch: an output further off than the tolerance, or another label where it is no tie within it.
    """
    tolerance, worst, name_of_worst, samples, ties = TOLERANCES[precision], 0.0, "", 0, 0
    for feed in parts(feeds, most):
        expected, found = parity.run(session, feed), engine.run(feed)
        for name, values in expected.items():
            if found[name].shape != values.shape:
                raise ValueMismatch(f"{name}: the graph gives {values.shape}, the engine {found[name].shape}")
            apart = parity.difference(name, found[name], values)
            if apart > worst:
                worst, name_of_worst = apart, name
        samples += len(feed[PRESENT])
        ties += _other_labels(found[LOGITS], expected[LOGITS])
    if worst > tolerance:
        raise ValueMismatch(
            f"an engine in {precision} must differ from its graph by at most {tolerance:g}, found {worst:.2g} in "
            f"{name_of_worst} over {samples} samples"
        )
    return Proof(samples, worst, tolerance, ties)


def parts(feeds: Iterable[Feed], most: int) -> Iterator[Feed]:
    """The same batches, those of over `most` samples in several."""
    for feed in feeds:
        for start in range(0, len(feed[PRESENT]), most):
            yield {name: values[start : start + most] for name, values in feed.items()}


def _other_labels(found: Array, expected: Array) -> int:
    """Samples with another label. Within the tolerance they are ties: neither class is more probable by twice that."""
    return int((softmax(found).argmax(axis=1) != softmax(expected).argmax(axis=1)).sum())
