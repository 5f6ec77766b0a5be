"""Genomics: a named-column vector, order-free by name, imputed and standardised."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from bundle.errors import InvalidInput
from bundle.modalities.modality import Array, Modality, Payload
from bundle.modalities.ranges import check_finite, check_positive

MISSING = ("", "na", "nan", "null", "none")
LARGEST = 1e12
"""Of a value's magnitude: far over any count or intensity, far under what float32 cannot hold."""
SHOWN = 40
"""Characters of an unknown column name that a message repeats."""
EXPECTED = "a JSON object of column: number, a JSON list of numbers in column order, or CSV with a header and one row"


@dataclass(frozen=True)
class Genomics(Modality):
    """One value per named column. A value that is null or not given is missing and takes the training median."""

    name: ClassVar[str] = "genomics"
    dtype: ClassVar[str] = "float32"

    columns: tuple[str, ...]
    """Column names, in the order of the vector."""
    medians: tuple[float, ...]
    """Training median of each column, in the unit of the payload."""
    means: tuple[float, ...]
    """Training mean of each column after imputation."""
    stds: tuple[float, ...]
    """Training standard deviation of each column after imputation; 1 where it would be 0."""

    def __post_init__(self) -> None:
        if not self.columns or len(set(self.columns)) != len(self.columns) or not all(self.columns):
            raise ValueError("columns: expected one or more distinct names, found none, an empty one or one twice")
        for name, values in (("medians", self.medians), ("means", self.means), ("stds", self.stds)):
            if len(values) != len(self.columns):
                raise ValueError(f"{name}: expected {len(self.columns)}, one for each column, found {len(values)}")
            for column, value in zip(self.columns, values, strict=True):
                (check_positive if name == "stds" else check_finite)(f"{name} of {column}", value)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """`(columns,)`."""
        return (len(self.columns),)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {column: position for position, column in enumerate(self.columns)}

    def decode(self, payload: Payload) -> Array:
        """A mapping, list, JSON or CSV to `(columns,)` float32 with NaN where a value is missing."""
        values = _parse(payload) if isinstance(payload, bytes | str) else payload
        if isinstance(values, Mapping):
            vector = self._by_name(values)
        elif isinstance(values, Sequence | np.ndarray):
            vector = self._by_position(values)
        else:
            raise InvalidInput(EXPECTED, type(values).__name__)
        beyond = np.abs(vector) > LARGEST
        if beyond.any():
            column = self.columns[int(np.argmax(beyond))]
            raise InvalidInput(f"finite numbers of magnitude up to {LARGEST:g}", f"a larger one in {column!r}")
        if np.isnan(vector).all():
            raise InvalidInput(f"a value for at least one of {len(self.columns)} columns", "none")
        return vector.astype(np.float32)

    def _by_name(self, values: Mapping[str, Any]) -> Array:
        vector = np.full(len(self.columns), np.nan)
        for column, value in values.items():
            position = self._positions.get(column)
            if position is None:
                shown = str(column)[:SHOWN]
                near = get_close_matches(shown, self.columns, n=3) or self.columns[:3]
                raise InvalidInput(
                    f"only the {len(self.columns)} known columns (such as {', '.join(near)})", f"{shown!r}"
                )
            vector[position] = _number(value, column)
        return vector

    def _by_position(self, values: Sequence[Any] | Array) -> Array:
        if len(values) != len(self.columns):
            raise InvalidInput(f"{len(self.columns)} values", f"{len(values)} values")
        pairs = zip(self.columns, values, strict=True)
        return np.asarray([_number(value, column) for column, value in pairs])

    def normalise(self, array: Array) -> Array:
        """Impute by the training medians, then standardise: `(columns,)` float32."""
        filled = np.where(np.isnan(array), np.asarray(self.medians), array)
        return np.asarray((filled - np.asarray(self.means)) / np.asarray(self.stds), dtype=np.float32)

    def example(self, generator: np.random.Generator) -> bytes:
        """A generated JSON object in shuffled order with some values left out."""
        draws = generator.normal(self.means, self.stds)
        order = generator.permutation(len(self.columns))
        kept = order[: max(1, int(len(order) * generator.uniform(0.6, 1.0)))]
        return json.dumps({self.columns[index]: round(float(draws[index]), 4) for index in kept}).encode()


def _number(value: Any, column: object) -> float:
    """A number, or NaN for a missing one; text as it stands in CSV cells is read too."""
    if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.integer | np.floating):
        raise InvalidInput("numbers or null", f"{type(value).__name__} in {column!r}")
    if isinstance(value, str) and not (value.isascii() and "_" not in value):  # Python reads 1_000, nobody writes it
        raise InvalidInput("numbers or null", f"something else in {column!r}")
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except ValueError:
        raise InvalidInput("numbers or null", f"something else in {column!r}") from None


def _parse(payload: bytes | str) -> Mapping[str, Any] | Sequence[Any]:
    """JSON, or CSV of two lines."""
    try:
        text = payload.decode("utf-8-sig") if isinstance(payload, bytes) else payload
    except UnicodeDecodeError:
        raise InvalidInput(EXPECTED, "bytes that are not UTF-8") from None
    if text.lstrip()[:1] in ("{", "["):
        return _parse_json(text)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=None), skipinitialspace=True) if row]
    except csv.Error as error:
        raise InvalidInput(EXPECTED, f"text that is neither ({error})") from None
    if len(rows) != 2:
        raise InvalidInput(EXPECTED, f"{len(rows)} lines that are not JSON")
    if len(rows[0]) != len(rows[1]):
        raise InvalidInput(EXPECTED, f"{len(rows[0])} names and {len(rows[1])} values")
    if len(set(rows[0])) != len(rows[0]):
        raise InvalidInput("each column once", "a column twice")
    return dict(zip(rows[0], rows[1], strict=True))


def _parse_json(text: str) -> Mapping[str, Any] | Sequence[Any]:
    def refuse_constant(name: str) -> float:
        raise InvalidInput("numbers or null", f"{name}, which is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise InvalidInput("each column once", "a column twice")
        return values

    try:
        values = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise InvalidInput(EXPECTED, "text that is not valid JSON") from None
    assert isinstance(values, dict | list)
    return values
