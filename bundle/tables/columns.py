"""Which columns of a table are the inputs of a model, and what a row of them holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bundle.errors import TableError
from bundle.modalities import MODALITIES
from bundle.modalities.genomics import MISSING

TEXT = "text"
GENOMICS = "genomics"
GENES = "gene_"
"""Prefix of the columns that are genomics together."""
SHOWN = 12
"""Columns that a message lists, and characters of a cell that it repeats."""
Cell = str | Path | dict[str, float | None]
"""A text, where a file lies, or genes by their columns."""


@dataclass(frozen=True)
class Columns:
    """Where a row's payloads are."""

    folder: Path
    """Paths in the table are relative to it."""
    named: dict[str, str]
    """The column of each modality that has one."""
    genes: tuple[str, ...] = ()
    """The columns of genomics."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that the table has."""
        return (*self.named, *((GENOMICS,) if self.genes else ()))

    def sample(self, cells: Mapping[str, Any]) -> dict[str, Cell]:
        """The payloads of a row; what is empty in it is missing.

        Raises:
            TableError: a cell that holds no payload.
        """
        found: dict[str, Cell] = {}
        for modality, column in self.named.items():
            cell = cells[column]
            if cell is None or (isinstance(cell, str) and not cell.strip()):
                continue
            if not isinstance(cell, str):
                raise TableError(f"{modality}: expected text in column {column!r}, found {type(cell).__name__}")
            found[modality] = cell if modality == TEXT else self.folder / cell.strip()
        values = {name: _number(name, cells[name]) for name in self.genes}
        if any(value is not None for value in values.values()):
            found[GENOMICS] = values
        return found


def choose(
    columns: Sequence[str], given: Sequence[str], folder: Path, modalities: Sequence[str] = tuple(MODALITIES)
) -> Columns:
    """Columns named like modalities, and those that are named for them.

    Args:
        columns: the table's.
        given: `modality=column` each; for genomics a prefix of columns; nothing after the = leaves a modality out.
        folder: the table's.
        modalities: those that matter; columns of others are left alone.

    Raises:
        TableError: a modality that is none, a column that is not there, or none at all.
    """
    chosen = {name: name for name in modalities if name != GENOMICS and name in columns}
    if GENOMICS in modalities:
        chosen[GENOMICS] = GENES
    wanted: dict[str, str] = {}
    for entry in given:
        modality, separator, column = entry.partition("=")
        if not separator or modality not in modalities:
            raise TableError(f"columns: expected one of {', '.join(modalities)}, = and a column, found {entry!r}")
        wanted[modality] = column
    chosen |= wanted
    prefix = chosen.pop(GENOMICS, "")
    genes = tuple(name for name in columns if prefix and name.startswith(prefix))
    if wanted.get(GENOMICS) and not genes:
        raise TableError(f"columns: expected columns that begin with {prefix!r}, the table has {listed(columns)}")
    named = {modality: column for modality, column in chosen.items() if column}
    for modality, column in named.items():
        if column not in columns:
            near = get_close_matches(column, columns, n=3)
            hint = f" (did you mean {', '.join(near)}?)" if near else ""
            raise TableError(
                f"columns: expected a column {column!r} for {modality}{hint}, the table has {listed(columns)}"
            )
    if not named and not genes:
        raise TableError(
            f"expected a column named like a modality ({', '.join(modalities)}), or --columns modality=column; "
            f"the table has {listed(columns)}"
        )
    return Columns(folder, named, genes)


def listed(columns: Sequence[str]) -> str:
    """The first columns, for a message."""
    return ", ".join(columns[:SHOWN]) + (", …" if len(columns) > SHOWN else "")


def _number(column: str, cell: Any) -> float | None:
    """A number; None where it is missing, as NaN is too in a Parquet file."""
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
        return None
    try:
        number = float(cell)
        return None if math.isnan(number) else number
    except (TypeError, ValueError):
        raise TableError(
            f"{GENOMICS}: expected a number or an empty cell in column {column!r}, found {str(cell)[:SHOWN]!r}"
        ) from None
