"""Which sets of fields reach a model, as JSON Schema: what `Registry.choose` decides, said beforehand."""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from typing import Any

from serving.model import ServedModel
from serving.options import MODEL, REQUIRE_ALL

Json = dict[str, Any]


def choices(
    model: ServedModel, models: Sequence[ServedModel], sendable: Collection[str], strict: bool, no: list[Any]
) -> list[Json]:
    """Alternatives for the fields of a request that this model answers.

    Args:
        model: the one that is to answer.
        models: all that there are.
        sendable: its inputs that this kind of request can carry.
        strict: whether the server requires all inputs.
        no: values of `require_all` that mean no.
    """
    found: list[Json] = []
    if set(sendable) == set(model.inputs):
        twins = [other for other in models if set(other.inputs) == set(model.inputs)]
        found.append({"required": [*model.inputs, *([MODEL] if len(twins) > 1 else [])]})
    if strict:
        return found
    lenient: Json = {"properties": {REQUIRE_ALL: {"enum": no}}}
    enough = _deciding(model, models, sendable)
    found += [{"required": list(names), **lenient} for names in enough]
    found += [{"required": [name, MODEL], **lenient} for name in sendable if (name,) not in enough]
    return found


def _deciding(model: ServedModel, models: Sequence[ServedModel], sendable: Collection[str]) -> list[tuple[str, ...]]:
    """The smallest sets of inputs that this model alone takes; whoever sends one needs not name it."""
    others = [set(other.inputs) for other in models if other is not model]
    found: list[tuple[str, ...]] = []
    for names in _subsets(list(sendable)):
        alone = not any(other.issuperset(names) for other in others)
        if alone and not any(set(smaller) <= set(names) for smaller in found):
            found.append(names)
    return found


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """All but the empty one, smaller ones first."""
    for size in range(1, len(names) + 1):
        yield from combinations(names, size)
