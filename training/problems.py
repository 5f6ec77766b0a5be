"""Collects what is wrong with the rows of a table, so that all of it is said at once."""

from collections.abc import Sequence

from training.errors import DataError

SHOWN = 60
"""Characters of an offending cell that a message repeats."""


class RowProblems:
    """Problems by row, in the table's order whatever the order of finding.

    Args:
        rows: what to call each row, such as "row 12".
    """

    def __init__(self, rows: Sequence[str]) -> None:
        self.rows = rows
        self._found: list[tuple[int, str]] = []

    def add(self, position: int, column: str, problem: str) -> None:
        """Note that the row at `position` is wrong in `column`; `problem` says what was expected and what came."""
        self._found.append((position, f"{self.rows[position]}, {column}: {problem}"))

    def check(self, table: str) -> None:
        """Go on only if there is no problem.

        Raises:
            DataError: names every row of `table` that is wrong, in order.
        """
        if self._found:
            count = len({position for position, _ in self._found})
            noun = "row" if count == 1 else "rows"
            listed = [line for _, line in sorted(self._found, key=lambda problem: problem[0])]
            raise DataError(f"{count} {noun} of {table} cannot be used:", listed)


def shown(cell: str) -> str:
    """A cell as a message repeats it: quoted, on one line, not longer than `SHOWN`."""
    line = " ".join(cell.split())
    return repr(line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")
