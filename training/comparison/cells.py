"""One training of a comparison: its command, its folder, and how far it is."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bundle.modalities import MODALITIES
from training import checkpoint
from training.command import parse
from training.comparison.options import Options
from training.comparison.variants import Table, Variant
from training.config import Config
from training.errors import CheckpointError, ConfigError

State = Literal["finished", "interrupted", "absent", "other", "finished otherwise"]
"""A run of the same options, finished or not; none; or one of other options."""
FREE = ("out", "cache", "workers", "by", "save_minutes", "tracker")
"""Options that change nothing of a training; what --by measures, training.report does of a finished run."""


@dataclass(frozen=True)
class Cell:
    """One variant with one seed."""

    variant: str
    seed: int
    config: Config
    options: tuple[str, ...]
    """Of training.fit, less the folder and the seed."""

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.config.out

    @property
    def log(self) -> Path:
        """What the training says; beside the run, whose folder takes no other files."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.variant} seed {self.seed}"

    def command(self, resume: bool) -> list[str]:
        """The training as a command line; one that is resumed has its options in its folder."""
        program = [sys.executable, "-m", "training.fit"]
        if resume:
            return [*program, "--resume", "--out", str(self.folder)]
        own = ("--seed", str(self.seed), "--out", str(self.folder), "--cache", str(self.config.cache))
        return [*program, *self.options, *own, "--overwrite"]

    def state(self) -> State:
        """How far it is."""
        finished = (self.folder / checkpoint.RUN).exists()
        if not finished and not (self.folder / checkpoint.CONFIG).exists():
            return "absent"
        if self.differences():
            return "finished otherwise" if finished else "other"
        return "finished" if finished else "interrupted"

    def differences(self) -> list[str]:
        """Options whose values are not those stored with the run, as `epochs 20, now 30`."""
        path = self.folder / checkpoint.CONFIG
        try:
            stored = stored_config(checkpoint.read_json(path))
        except CheckpointError as error:
            return [str(error)]
        old, new = (dict(leaves(asdict(config))) for config in (stored, self.config))
        names = [name for name in {**old, **new} if name not in FREE and old.get(name) != new.get(name)]
        return [f"{name} {old.get(name)}, now {new.get(name)}" for name in names]

    def epochs_done(self) -> int:
        """Epochs in the run's history."""
        try:
            return len(json.loads((self.folder / checkpoint.HISTORY).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return 0


def stored_config(content: Mapping[str, Any]) -> Config:
    """A run's configuration; options that did not exist when it was made have their defaults.

    Raises:
        CheckpointError: damaged, or with options that exist no more.
    """
    defaults = asdict(Config())
    values = {**defaults, **content}
    for name in MODALITIES:
        if isinstance(values[name], dict):
            values[name] = {**defaults[name], **values[name]}
    return checkpoint.read_config(values)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """A nested dictionary's values with their paths, such as `image.size`."""
    if not isinstance(value, dict):
        yield name, list(value) if isinstance(value, tuple) else value
        return
    for key, entry in value.items():
        yield from leaves(entry, f"{name}.{key}" if name else str(key))


def cells_of(tables: Sequence[Table], common: tuple[str, ...], options: Options) -> list[Cell]:
    """Every training of the comparison, seed by seed, each command line checked.

    Raises:
        ConfigError: names the variant whose options cannot be, or two that share a name and are not the same.
    """
    variants: dict[str, Variant] = {}
    configs: dict[str, Config] = {}
    for each in (each for table in tables for each in table.variants):
        config = _checked(each, common)
        if each.name in configs and configs[each.name] != config:
            raise ConfigError(f"two variants with different options are named {each.name}")
        configs.setdefault(each.name, config)
        variants.setdefault(each.name, each)
    cache = options.cache if options.cache is not None else options.out / ".cache"
    found = []
    for seed in options.chosen_seeds:
        for name, config in configs.items():
            own = replace(config, seed=seed, out=options.out / name / str(seed), cache=cache)
            found.append(Cell(name, seed, own, (*common, *variants[name].options)))
    return found


def _checked(variant: Variant, common: tuple[str, ...]) -> Config:
    try:
        return _config((*common, *variant.options))
    except ConfigError as error:
        raise ConfigError(f"variant {variant.name} ({' '.join(variant.options)}): {error}") from None
    except SystemExit:
        raise ConfigError(f"variant {variant.name}: --help is of python -m training.fit") from None


@cache
def _config(options: tuple[str, ...]) -> Config:
    return parse(options).config


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES may name here."""
    import torch

    count = torch.cuda.device_count()
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return given[:count] if given else [str(number) for number in range(count)]


def environments(jobs: int | None, gpus: Sequence[str]) -> list[dict[str, str]]:
    """What each of the trainings at once has in its environment: a GPU of its own, or its part of the cores."""
    count = jobs if jobs is not None else max(1, len(gpus))
    if gpus:
        return [{"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} for slot in range(count)]
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        threads = min(threads, int(given))
    return [{"OMP_NUM_THREADS": str(threads)} for _ in range(count)]
