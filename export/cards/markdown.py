"""Tables and figures as Markdown."""

from collections.abc import Iterable, Sequence

from training.measures.intervals import Interval


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are figures."""
    rules = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(cell, row)) + " |" for row in (head, rules, *rows))


def cell(text: str) -> str:
    """Text on one line that ends no cell; names of classes and columns are the user's."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def figure(found: Interval, signed: bool = False) -> str:
    """A figure and its 95 % interval, as `0.912 (0.880 to 0.936)`."""
    sign = "+" if signed else ""
    return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"


def section(title: str, *parts: str) -> str:
    """A section of paragraphs and tables; those that are empty are left out."""
    return "\n\n".join((f"## {title}", *filter(None, parts)))
