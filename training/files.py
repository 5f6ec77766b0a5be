"""What is wrong with a path in a table, in words, without reading the file."""

import stat
from pathlib import Path

from training.problems import shown


def file_problem(folder: Path, cell: str) -> str | None:
    """What keeps `cell` from naming a file; None where it names one.

    Args:
        folder: where a relative path begins.
        cell: the path as it stands in the table.
    """
    expected = "expected the path of a file"
    if not cell:
        return f"{expected}, found an empty cell"
    try:
        mode = (folder / cell).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"{expected}, found no file {shown(cell)} in {folder}"
    except (OSError, ValueError) as error:  # a text too long for a path, a NUL, a loop of links
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"{expected}, found {shown(cell)} ({reason})"
    if stat.S_ISDIR(mode):
        return f"{expected}, found the folder {shown(cell)}"
    if not stat.S_ISREG(mode):
        return f"{expected}, found {shown(cell)}, which is no regular file"
    return None
