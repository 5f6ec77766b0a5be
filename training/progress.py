"""Progress bars on a terminal, plain lines elsewhere."""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")

console = Console(highlight=False, soft_wrap=True)


def begin(speaks: bool = True) -> None:
    """What a program does first: one process of tokenizers, and output that no terminal's encoding can break.

    Of several processes one `speaks`; the others print nothing but what ends them.
    """
    console.quiet = not speaks
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no α shows a question mark


def display() -> Progress:
    """Bars that vanish when done; what must stay is printed through `console`."""
    columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=console.quiet or not console.is_terminal)


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Pass the items through a progress bar, and say in the end what was done."""
    with display() as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)
    console.print(f"{description}: {total}")
