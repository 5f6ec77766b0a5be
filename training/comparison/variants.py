"""What is compared: variants, each a row of a table and a folder of runs, one for each seed."""

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import ConfigError

OWNED = {
    "--seed": "--seeds chooses the seeds",
    "--method": "--methods, --preset or --variant choose the methods",
    "--out": "--out is the folder of the whole comparison",
    "--cache": "--cache is shared by all trainings",
    "--resume": "every interrupted training is resumed by itself",
    "--overwrite": "--replace trains again what was trained with other options",
}
"""Options of a training that a comparison sets, and what to give it instead."""


@dataclass(frozen=True)
class Variant:
    """One way of training."""

    name: str
    """Its folder below --out."""
    label: str
    """Its row's name in the tables."""
    options: tuple[str, ...]
    """Of training.fit, put behind those that all variants have."""
    family: str | None = None
    """Of the variants of one family, the best on validation stands for it."""


@dataclass(frozen=True)
class Table:
    """Variants that are compared with each other."""

    title: str
    variants: tuple[Variant, ...]
    reference: str
    """The name of the variant, or the family, that the others are tested against."""
    remarks: tuple[str, ...] = ()
    """What a reader must know of the choice of variants."""


def variant(name: str, label: str, options: str, family: str | None = None) -> Variant:
    """A variant from its options as they are typed.

    Raises:
        ConfigError: a name that can be no folder, options that cannot be split or are not a variant's to set.
    """
    if not re.fullmatch(r"\w[\w .,+=@-]*", name) or name.startswith("results.") or name.endswith((" ", ".log")):
        raise ConfigError(f"expected a variant's name of letters, digits and - . , + = @, found {name!r}")
    try:
        split = tuple(shlex.split(options))
    except ValueError as error:
        raise ConfigError(f"variant {name}: the options {options!r} cannot be split into words: {error}") from None
    refuse_owned(split, f"variant {name}: ", but="--method")
    return Variant(name, label, split, family)


def refuse_owned(options: tuple[str, ...], prefix: str = "", but: str = "") -> None:
    """Refuse options that the comparison itself sets.

    Raises:
        ConfigError: names the option and what to use instead.
    """
    for option in options:
        name = option.split("=")[0].replace("_", "-")
        if name in OWNED and name != but:
            raise ConfigError(f"{prefix}{name} is not for each training to set: {OWNED[name]}")


def from_text(text: str) -> Variant:
    """A variant from `name=options` or `family/name=options`.

    Raises:
        ConfigError: of another form.
    """
    head, found, options = text.partition("=")
    if not found or not head.strip() or head.lstrip().startswith("-"):
        raise ConfigError(f'expected --variant "name=options" or "family/name=options", found {text!r}')
    return _from_head(head.strip(), options)


def _from_head(head: str, options: str, label: str | None = None) -> Variant:
    family, slash, name = head.rpartition("/")
    folder = f"{family}-{name}" if slash else name
    return variant(folder, label or (f"{family}, {name}" if slash else name), options, family or None)


def from_file(path: Path) -> list[Variant]:
    """Variants from a TOML file: `name = "options"`, or a table with `options` and perhaps `label`.

    Raises:
        ConfigError: unreadable, or of another form.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--variants {path} cannot be read: {error}") from None
    found = []
    for head, entry in content.items():
        fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {"options": entry}
        texts = all(isinstance(value, str) for value in fields.values())
        if not texts or "options" not in fields or set(fields) - {"options", "label"}:
            raise ConfigError(
                f'--variants {path}: expected {head} = "options" or a table with the texts options and label, '
                f"found {entry!r}"
            )
        found.append(_from_head(head, fields["options"], fields.get("label")))
    return found
