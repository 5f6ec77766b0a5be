"""A configuration as the command line that gives it again: only what differs from the defaults."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from bundle.modalities import MODALITIES
from training import catalog
from training.command import LOCAL, PROGRAM, parse
from training.config import Config


def arguments(config: Config, modalities: Sequence[str]) -> list[str]:
    """Arguments of `training.fit`, the folder of the run left out.

    Args:
        config: of a run.
        modalities: those it was trained on; options of others are left out.
    """
    names = ["--dataset", config.dataset, "--method", config.method, "--fusion", config.fusion]
    for name in modalities:
        names += [f"--{name}.encoder", config.of(name).encoder]
    stated = dict(_leaves(asdict(config)))
    for entry in fields(catalog.load("datasets", config.dataset).Options):
        if entry.default is MISSING and entry.default_factory is MISSING:
            path = ("dataset_options", entry.name)
            names += _tokens(path, stated[path])
    usual = dict(_leaves(asdict(parse(names).config)))
    unused = set(MODALITIES) - set(modalities)
    changed = (
        _tokens(path, value)
        for path, value in stated.items()
        if path[0] not in unused and path[0] not in ("out", *LOCAL) and usual.get(path) != value
    )
    return [*names, *(token for tokens in changed for token in tokens)]


def command(config: Config, modalities: Sequence[str]) -> str:
    """The whole command, with paths shrunk to their names."""
    shrunk = [Path(token).name if Path(token).is_absolute() else token for token in arguments(config, modalities)]
    return f"{PROGRAM} {shlex.join(shrunk)}"


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(value, dict):
        yield path, tuple(value) if isinstance(value, list) else value
        return
    for key, entry in value.items():
        yield from _leaves(entry, (*path, key))


def _tokens(path: tuple[str, ...], value: Any) -> list[str]:
    *sections, last = (name.removesuffix("_options") for name in path)
    if isinstance(value, bool) and not value:
        last = f"no_{last}"
    option = "--" + ".".join((*sections, last)).replace("_", "-")
    if isinstance(value, bool):
        return [option]
    if isinstance(value, tuple):
        return [option, *map(str, value)] if value else []
    return [option, str(value)]
