"""The file name is the name: finds methods, encoders, datasets, fusions and conditions on disk."""

import inspect
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from training.errors import ConfigError

Kind = Literal["methods", "encoders", "datasets", "fusion", "conditions"]


@cache
def names(kind: Kind) -> tuple[str, ...]:
    """Every name of a kind, sorted: one for each file of `training/<kind>/`."""
    folder = Path(__file__).parent / kind
    return tuple(sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")))


def load(kind: Kind, name: str) -> Any:
    """The one public class that the file `training/<kind>/<name>.py` defines for its kind.

    Raises:
        ConfigError: no such file.
    """
    if name not in names(kind):
        raise ConfigError(f"unknown name {name!r} in {kind}; known are {', '.join(names(kind))}")
    module = import_module(f"training.{kind}.{name}")
    own = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__ and hasattr(member, "Options") and not member.__name__.startswith("_")
    ]
    assert len(own) == 1, f"{module.__name__} must define one public class with Options, it defines {own}"
    return own[0]
