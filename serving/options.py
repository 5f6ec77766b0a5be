"""What a request may say beside its inputs: which model, whether all inputs are required, when to abstain."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bundle.errors import InvalidInput

Value = TypeVar("Value")
MODEL, REQUIRE_ALL, ABSTAIN_BELOW = "model", "require_all", "abstain_below"
NAMES = (MODEL, REQUIRE_ALL, ABSTAIN_BELOW)
"""Fields of these names are no inputs; `bundle.manifest.RESERVED` keeps them free."""
SPELT = {"true": True, "1": True, "false": False, "0": False}
"""How a part of a form writes yes and no."""
DECIMAL = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
"""How a part of a form writes a number."""


@dataclass(frozen=True)
class Options:
    """What one sample, or all samples of a request, are asked with; None is what was not said."""

    model: str | None = None
    """Name of the model; without one the inputs decide."""
    require_all: bool | None = None
    """Whether a sample that lacks an input of its model is refused."""
    abstain_below: float | None = None
    """The least probability, 0..1, of a predicted class that does not abstain; without one the bundle's own counts."""

    @classmethod
    def read(cls, contents: Mapping[str, Any]) -> "Options":
        """From the bytes of parts, or values of JSON keys, by their names.

        Raises:
            InvalidInput: a value that is none of its option's; names the field.
        """
        return cls(
            _read(contents, MODEL, _model),
            _read(contents, REQUIRE_ALL, _require_all),
            _read(contents, ABSTAIN_BELOW, _abstain_below),
        )

    def over(self, shared: "Options") -> "Options":
        """These, and where nothing was said those of the whole request."""
        return Options(
            shared.model if self.model is None else self.model,
            shared.require_all if self.require_all is None else self.require_all,
            shared.abstain_below if self.abstain_below is None else self.abstain_below,
        )


def _read(contents: Mapping[str, Any], name: str, reading: Callable[[Any], Value]) -> Value | None:
    return reading(contents[name]) if name in contents else None


def _model(content: Any) -> str:
    if isinstance(content, bytes):
        return content.decode("utf-8", errors="replace")
    if not isinstance(content, str):
        raise InvalidInput("the name of a model", type(content).__name__, MODEL)
    return content


def _require_all(content: Any) -> bool:
    if isinstance(content, bytes):
        found = SPELT.get(content.decode("latin-1"))
        if found is None:
            raise InvalidInput(" or ".join(SPELT), "another text", REQUIRE_ALL)
        return found
    if not isinstance(content, bool):
        raise InvalidInput("true or false", type(content).__name__, REQUIRE_ALL)
    return content


def _abstain_below(content: Any) -> float:
    expected = "a number from 0 to 1"
    if isinstance(content, bytes):
        text = content.decode("latin-1")
        if re.fullmatch(DECIMAL, text) is None:
            raise InvalidInput(expected, "another text", ABSTAIN_BELOW)
        content = float(text)
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise InvalidInput(expected, type(content).__name__, ABSTAIN_BELOW)
    if not 0 <= content <= 1 or math.isnan(content):
        raise InvalidInput(expected, "another number", ABSTAIN_BELOW)
    return float(content)
