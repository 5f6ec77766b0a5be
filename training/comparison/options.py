"""The command line of a comparison, and the tables it asks for."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from training import catalog
from training.command import read_options
from training.comparison.presets import PRESETS, REFERENCE, WEIGHED, of_method
from training.comparison.variants import Table, Variant, from_file, from_text, refuse_owned
from training.errors import ConfigError

PROGRAM = "python -m training.compare"
DESCRIPTION = """Train variants x seeds on one dataset, and test their differences.

  python -m training.compare --preset table1 --dataset table --dataset.path pairs.csv --epochs 30 --out runs/table1
      every method, 5 seeds; the paper's tables are table1, table2, table3 and figure3
  python -m training.compare --preset table1 --alphas 0.01 0.05 0.1 0.5 1 --out runs/table1
      with α of InfoBridge and InfoNCE chosen on validation
  python -m training.compare --methods joint infobridge pmr --seeds 0 1 2
      some methods
  python -m training.compare --conditions semantic cluster retrieval constant
      InfoBridge with each context T
  python -m training.compare --variant "joint=--method joint" --variant "long/30=--method joint --epochs 30" --variant
      "long/60=--method joint --epochs 60"
      your own; long/30 and long/60 are a family, which the better one on validation stands for

Every option that is not listed below is one of training.fit (its --help lists them) and goes to every training; a
variant's own options win over it. All command lines are checked before anything is trained.

Training is resumable: the same command again goes on after an interruption, and trains nothing that is finished. The
runs are OUT/<variant>/<seed>/, their output OUT/<variant>/<seed>.log. At the end OUT/results.md, results.csv and
results.json, which are always of the last command, hold accuracies (mean and standard deviation over seeds) and a
paired bootstrap test, over samples and seeds, of the reference against each other variant. Whatever is chosen (the
epoch, of a family its best variant, the best single modality) is chosen on validation."""


@dataclass(frozen=True)
class Options:
    """What is compared, where the runs go, and how many are trained at once."""

    out: Path = Path("runs/comparison")
    """Folder of the runs and of the results."""
    preset: tuple[Literal["table1", "table2", "table3", "figure3", "protected"], ...] = ()
    """The paper's tables, and the ablations of our variant, one or several; a row of two of them is trained once."""
    methods: tuple[str, ...] = ()
    """Names of methods."""
    conditions: tuple[str, ...] = ()
    """Contexts T: one variant of infobridge for each."""
    variant: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """"name=options of training.fit", or "family/name=options"; may be given several times. One that is named like
    a row's folder in a preset, or like one of --methods, gives that row other options."""
    variants: Path | None = None
    """A TOML file of variants: lines name = "options", or tables with options and label; names as for --variant."""
    alphas: tuple[float, ...] = ()
    """Weights α of infobridge and infonce in table1 and --methods, of which the best on validation is reported; in
    figure3 each is a row. Not given, the paper's 0.1, and in figure3 its grid."""
    seeds: tuple[int, ...] = (5,)
    """One number says how many, from 0 on; several are the seeds themselves."""
    reference: str | None = None
    """Variant or family that the others are tested against; not given, infobridge, or else the first variant."""
    jobs: int | None = None
    """Trainings at once; not given, one for each visible GPU, or one. Each has one GPU, or its part of the cores."""
    cache: Path | None = None
    """Folder for decoded samples, shared by all trainings; not given, .cache in --out."""
    resamples: int = 10_000
    """Of the bootstrap."""
    replace: bool = False
    """Train finished runs again whose options were others; without it, they are refused."""
    tables: bool = False
    """Train nothing: only write the results of what is finished."""

    def __post_init__(self) -> None:
        """Refuse impossible values at construction."""
        if len(self.seeds) == 1 and self.seeds[0] < 1:
            raise ConfigError(f"--seeds must be at least 1, not {self.seeds[0]}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError(f"--seeds must be a number of seeds or different ones from 0 on, not {self.seeds}")
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError(f"--jobs must be at least 1, not {self.jobs}")
        if self.resamples < 100:
            raise ConfigError(f"--resamples must be at least 100, not {self.resamples}")
        if len(set(self.alphas)) != len(self.alphas):
            raise ConfigError(f"--alphas must be different numbers, not {self.alphas}")

    @property
    def chosen_seeds(self) -> tuple[int, ...]:
        """The seeds themselves."""
        return tuple(range(self.seeds[0])) if len(self.seeds) == 1 else self.seeds


def read(arguments: Sequence[str]) -> tuple[Options, tuple[str, ...], list[Table]]:
    """The comparison's options, the options of every training, and the tables asked for.

    Raises:
        ConfigError: options that cannot be.
        SystemExit: help was asked for, and printed.
    """
    options, common = read_options(Options, arguments, PROGRAM, DESCRIPTION, return_unknown_args=True)
    refuse_owned(tuple(common))
    found = [PRESETS[name](options.alphas) for name in dict.fromkeys(options.preset)]
    methods = _methods(options)
    given = from_file(options.variants) if options.variants is not None else []
    given += [from_text(text) for text in options.variant]
    known = {each.name for table in found for each in table.variants} | {each.name for each in methods}
    own = methods + [each for each in given if each.name not in known]
    if own:
        found.append(Table("Comparison", tuple(own), REFERENCE))
    found = [_with_options(table, [each for each in given if each.name in known]) for table in found]
    if not found:
        raise ConfigError("expected what to compare: --preset, --methods, --conditions, --variant or --variants")
    weighed = {"table1", "figure3"} & set(options.preset) or {*WEIGHED} & {*options.methods} or options.conditions
    if options.alphas and not weighed:
        raise ConfigError(f"--alphas is for table1, figure3, --conditions, and {' and '.join(WEIGHED)} among --methods")
    for title, variants in (("--variant", given), *((table.title, table.variants) for table in found)):
        _check_names(title, variants)
    if options.reference is not None and not any(options.reference in names_in(table) for table in found):
        names = ", ".join(dict.fromkeys(name for table in found for name in names_in(table)))
        raise ConfigError(f"--reference {options.reference}: expected one of {names}")
    return options, tuple(common), [_with_reference(table, options.reference) for table in found]


def _methods(options: Options) -> list[Variant]:
    """The variants of --methods and --conditions."""
    methods = options.methods
    if options.conditions and not methods:
        methods = (REFERENCE,)
    if options.conditions and REFERENCE not in methods:
        raise ConfigError(f"--conditions are of {REFERENCE}, which is not among --methods {' '.join(methods)}")
    found: list[Variant] = []
    for name in dict.fromkeys(methods):
        if name not in catalog.names("methods"):
            raise ConfigError(f"--methods: unknown name {name!r}; known are {', '.join(catalog.names('methods'))}")
        contexts = options.conditions if name == REFERENCE and options.conditions else (None,)
        for context in dict.fromkeys(contexts):
            if context is not None and context not in catalog.names("conditions"):
                known = ", ".join(catalog.names("conditions"))
                raise ConfigError(f"--conditions: unknown name {context!r}; known are {known}")
            found += of_method(name, options.alphas, context)
    return found


def _with_options(table: Table, given: Sequence[Variant]) -> Table:
    """The table with the options of those given in place of its own, and a remark on each."""
    other = {each.name: each.options for each in given}
    variants = tuple(replace(each, options=other.get(each.name, each.options)) for each in table.variants)
    told = [f"{each.label}: {shlex.join(each.options)}." for each in variants if each.name in other]
    return replace(table, variants=variants, remarks=(*table.remarks, *told))


def _check_names(title: str, variants: Sequence[Variant]) -> None:
    names = [variant.name.casefold() for variant in variants]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{title}: expected variants of different names, found {', '.join(twice)} twice")


def _with_reference(table: Table, asked: str | None) -> Table:
    """The table with a reference that it has: the one asked for, its own, or its first row."""
    first = table.variants[0]
    named = names_in(table)
    wanted = named.get(asked or "") or named.get(table.reference) or first.family or first.name
    return replace(table, reference=wanted)


def names_in(table: Table) -> dict[str, str]:
    """What a reference may be called, and the family or variant that is meant."""
    found: dict[str, str] = {}
    for each in table.variants:
        for name in (each.family, each.name, each.label):
            found.setdefault(name or each.name, each.family or each.name)
    return found
