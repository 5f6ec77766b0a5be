"""A folder that is whole or not there: written aside, and renamed when it is finished."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundle.manifest import FILE
from export.errors import ExportError


@contextmanager
def replacing(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """The folder beside `target` to write a bundle into, which takes its place where nothing is raised.

    Args:
        target: the bundle's folder.
        overwrite: whether a bundle that is there already is replaced.

    Raises:
        ExportError: `target` exists and may not be replaced.
    """
    target = target.resolve()
    _check(target, overwrite)
    aside, replaced = (target.with_name(f".{target.name}-{os.getpid()}{end}") for end in ("", "-replaced"))
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if target.exists():
            target.rename(replaced)
        aside.rename(target)
    finally:
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _check(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise ExportError(f"{target} exists; choose another --to, or --overwrite it")
    if not (target / FILE).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise ExportError(f"{target} is not a bundle (it has no {FILE}), --overwrite replaces nothing else")
