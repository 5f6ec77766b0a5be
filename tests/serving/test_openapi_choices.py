"""Which model a set of fields reaches: by the registry, and by the schema that says so beforehand."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, cast

import pytest

from bundle.errors import InvalidInput
from serving.model import ServedModel
from serving.openapi_choices import choices
from serving.problems import ProblemError
from serving.registry import Registry


@dataclass(frozen=True)
class Stub:
    """A model by its name and inputs alone."""

    name: str
    inputs: tuple[str, ...]


def stubs(*inputs: str) -> list[ServedModel]:
    """Models by their inputs, one letter each."""
    return [cast(ServedModel, Stub(f"{number}:{names}", tuple(names))) for number, names in enumerate(inputs)]


SETS = [
    stubs("ab"),
    stubs("ab", "cd"),
    stubs("ab", "cd", "cd"),
    stubs("ab", "cb", "b"),
    stubs("ab", "abc", "bcd"),
    stubs("abc", "abc", "a", "bd"),
]
every_set = pytest.mark.parametrize("models", SETS, ids=lambda models: " ".join(model.name for model in models))


def subsets(names: str) -> Iterator[tuple[str, ...]]:
    for size in range(len(names) + 1):
        yield from combinations(names, size)


def reached(models: list[ServedModel], given: tuple[str, ...], name: str | None, strict: bool) -> str | None:
    """The rules once more, in other words: the only model among those that could be meant."""
    fitting = [model for model in models if given and set(given) <= set(model.inputs)]
    if strict:
        fitting = [model for model in fitting if len(given) == len(model.inputs)]
    if name is not None:
        return name if name in [model.name for model in fitting] else None
    exact = [model for model in fitting if set(given) == set(model.inputs)]
    meant = exact or fitting
    return meant[0].name if len(meant) == 1 else None


@every_set
@pytest.mark.parametrize("strict", [False, True])
def test_the_registry_and_the_schema_agree_with_the_rules(models: list[ServedModel], strict: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs", reason="needs jsonschema-rs, which schemathesis brings")
    registry = Registry(models)
    schemas = {
        model.name: {
            "properties": {**{key: {} for key in model.inputs}, "model": {"const": model.name}, "require_all": {}},
            "additionalProperties": False,
            "anyOf": choices(model, models, model.inputs, strict, [False]),
        }
        for model in models
    }
    for given in subsets("abcde"):
        for name in (None, *schemas):
            for wished in (None, False, True):
                found: str | None
                try:
                    found = registry.choose(given, name, strict or wished is True).name
                except (ProblemError, InvalidInput):
                    found = None
                assert found == reached(models, given, name, strict or wished is True)
                body: dict[str, Any] = dict.fromkeys(given, 1)
                body |= {} if name is None else {"model": name}
                body |= {} if wished is None else {"require_all": wished}
                valid = [name for name, schema in schemas.items() if jsonschema.is_valid(schema, body)]
                assert valid == ([] if found is None else [found]), body


@every_set
def test_what_only_a_part_of_the_inputs_can_be_sent_in_is_told_too(models: list[ServedModel]) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs", reason="needs jsonschema-rs, which schemathesis brings")
    for model in models:
        sendable = model.inputs[1:]
        schema = {"anyOf": choices(model, models, sendable, False, [False])}
        for given in subsets("".join(sendable)):
            for name in (None, model.name):
                expected = reached(models, given, name, strict=False) == model.name
                body = dict.fromkeys(given, 1) | ({} if name is None else {"model": name})
                assert (bool(schema["anyOf"]) and jsonschema.is_valid(schema, body)) == expected, (model, body)


def test_a_refusal_names_what_is_missing_and_what_is_possible() -> None:
    registry = Registry(stubs("ab", "bc", "de"))
    with pytest.raises(ProblemError) as ambiguous:
        registry.choose("b", None)
    assert ambiguous.value.problem.status == 422 and ambiguous.value.problem.field == "model"
    assert ambiguous.value.problem.possible == ("0:ab", "1:bc")
    for name, given in ((None, "d"), ("2:de", "d")):
        with pytest.raises(InvalidInput) as missing:
            registry.choose(given, name, require_all=True)
        assert (missing.value.field, missing.value.received) == ("e", "only d")
        assert missing.value.expected.startswith("all of d, e")
    with pytest.raises(InvalidInput) as nothing:
        registry.choose("", "2:de")
    assert (nothing.value.field, nothing.value.expected) == (None, "one or more of d, e")
    with pytest.raises(InvalidInput) as unknown:
        registry.choose("dx", "2:de")
    assert (unknown.value.field, unknown.value.expected) == ("x", "only d, e")
    with pytest.raises(ProblemError) as none:
        registry.choose("ax", None)
    assert none.value.problem.field == "x" and none.value.problem.possible == ("a + b", "b + c", "d + e")
