"""The command line of a training, made from the dataclasses: names first, then the options those names have."""

import io
import itertools
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import MISSING, dataclass, field, fields, make_dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal

import tyro

from bundle.modalities import MODALITIES
from training import catalog
from training.config import Config
from training.errors import ConfigError

PROGRAM = "python -m training.fit"
DESCRIPTION = """Train one classifier on paired modalities.

  python -m training.fit
      a small run on generated data
  python -m training.fit --dataset table --dataset.path pairs.csv --out runs/mine
      your own data: a CSV or Parquet file with a column for each modality and a label
  python -m training.fit --method joint --modalities image text
      another method, other modalities
  python -m training.fit --resume --out runs/mine
      go on after an interruption, exactly where it ended
  torchrun --nproc-per-node 2 -m training.fit --processes 2
      on two processes, such as two GPUs, with the same result

The options --dataset.*, --method.* and --<modality>.encoder.* below belong to the dataset, method and encoders named on
this command line, so that `--method joint --help` shows those of joint training."""

PROCESSES = "How many processes torchrun or accelerate launch must have started; not given, any number."


@dataclass(frozen=True)
class Command:
    """A training, and what to do with a folder that is already there."""

    config: Config
    resume: bool
    overwrite: bool
    processes: int | None = None
    """How many the launcher must have started; None for any number."""


def parse(arguments: Sequence[str]) -> Command:
    """What a command line asks for.

    Raises:
        ConfigError: an unknown name, an option that cannot be parsed, or values that contradict.
        SystemExit: help was asked for, and printed.
    """
    dataset = _named(arguments, "--dataset") or Config.dataset
    recipe = catalog.load("datasets", dataset).recipe(Config(dataset=dataset))
    recipe = replace(recipe, method=_named(arguments, "--method") or recipe.method)
    for name in MODALITIES:
        encoder = _named(arguments, f"--{name}.encoder") or recipe.of(name).encoder
        accepts = catalog.load("encoders", encoder).ACCEPTS
        if name not in accepts:
            raise ConfigError(
                f"encoder {encoder} takes {', '.join(accepts)}, not {name}; choose --{name}.encoder among "
                f"{', '.join(_encoders(name))}"
            )
        if encoder != recipe.of(name).encoder:
            recipe = replace(recipe, **{name: replace(recipe.of(name), encoder=encoder, encoder_options=None)})
    fusion = _named(arguments, "--fusion")
    if fusion is not None:
        catalog.load("fusion", fusion)
    parsed = read_options(_command_class(recipe), arguments, PROGRAM, DESCRIPTION, default=_with_options(recipe))
    config = Config(**{entry.name: getattr(parsed, entry.name) for entry in fields(Config)})
    plain = {name: _plain(getattr(Config(), name), getattr(config, name)) for name in MODALITIES}
    return Command(replace(config, **plain), parsed.resume, parsed.overwrite, parsed.processes)


def read_options(kind: Any, arguments: Sequence[str], program: str, description: str, **settings: Any) -> Any:
    """tyro's result for a dataclass; the box it draws around an error becomes one line.

    Raises:
        ConfigError: an option that cannot be parsed.
        SystemExit: help was asked for, and printed.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(kind, args=list(arguments), description=description, prog=program, **settings)
    except SystemExit as ending:
        if not ending.code:
            raise
        raise ConfigError(f"{_said(said.getvalue())}; {program} --help lists the options") from None


def _said(box: str) -> str:
    """What the box says before its first rule; without line-drawing characters a title and a rule come before it."""
    lines = [line.strip(" │") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    parts = [
        list(part)
        for is_rule, part in itertools.groupby(lines, lambda line: set(line) in ({"─"}, {"-"}))
        if not is_rule
    ]
    return " ".join(" ".join(parts[0 if "╭" in box else 1]).split())


def _named(arguments: Sequence[str], option: str) -> str | None:
    """The value of `option` on the command line, before the options it decides are known."""
    found = None
    for position, argument in enumerate(arguments):
        if argument == option and position + 1 < len(arguments):
            found = arguments[position + 1]
        elif argument.startswith(option + "="):
            found = argument.removeprefix(option + "=")
    return found


def _command_class(recipe: Config) -> Any:
    """`Config` with the options of the named dataset, method and encoders in place of Any."""
    dataset = catalog.load("datasets", recipe.dataset).Options
    method = catalog.load("methods", recipe.method).Options
    changed: list[Any] = [
        ("dataset", _choice("datasets"), "demo"),
        ("method", _choice("methods"), "infobridge"),
        ("fusion", _choice("fusion"), "concat"),
        ("dataset_options", Annotated[dataset, tyro.conf.arg(name="dataset")], tyro.MISSING),
        ("method_options", Annotated[method, tyro.conf.arg(name="method")], tyro.MISSING),
        ("resume", Annotated[bool, tyro.conf.arg(help="Go on with the unfinished run in --out.")], False),
        ("overwrite", Annotated[bool, tyro.conf.arg(help="Replace a run that is already in --out.")], False),
        ("processes", Annotated[int | None, tyro.conf.arg(help=PROCESSES)], None),
    ]
    changed += [(name, _modality_class(name, recipe.of(name).encoder), tyro.MISSING) for name in MODALITIES]
    specified = [(name, kind, field(default=default)) for name, kind, default in changed]
    return make_dataclass("Config", specified, bases=(Config,), frozen=True, namespace={"__doc__": Config.__doc__})


@cache
def _modality_class(name: str, encoder_name: str) -> Any:
    """A modality's options with those of the named encoder in place of Any."""
    kind = type(Config().of(name))
    encoder = catalog.load("encoders", encoder_name).Options
    annotated: Any = Annotated[encoder, tyro.conf.arg(name="encoder")]
    specified: list[Any] = [("encoder", Literal[_encoders(name)], field(default=encoder_name))]
    specified += [("encoder_options", annotated, field(default=tyro.MISSING))]
    return make_dataclass(kind.__name__, specified, bases=(kind,), frozen=True, namespace={"__doc__": kind.__doc__})


def _choice(kind: catalog.Kind) -> Any:
    return Literal[catalog.names(kind)]


def _encoders(modality: str) -> tuple[str, ...]:
    """The names of the encoders that take a modality."""
    return tuple(name for name in catalog.names("encoders") if modality in catalog.load("encoders", name).ACCEPTS)


def _with_options(recipe: Config) -> Any:
    """The recipe as an instance of the command's class; required options stay missing."""
    values = {entry.name: getattr(recipe, entry.name) for entry in fields(Config)}
    values["dataset_options"] = _defaults(recipe.dataset_options, catalog.load("datasets", recipe.dataset).Options)
    values["method_options"] = _defaults(recipe.method_options, catalog.load("methods", recipe.method).Options)
    for name in MODALITIES:
        chosen = recipe.of(name)
        options = _defaults(chosen.encoder_options, catalog.load("encoders", chosen.encoder).Options)
        kind = _modality_class(name, chosen.encoder)
        values[name] = kind(**{**{e.name: getattr(chosen, e.name) for e in fields(chosen)}, "encoder_options": options})
    return _command_class(recipe)(**values)


def _defaults(given: Any, kind: Any) -> Any:
    """The options given by the recipe, or the class's defaults; what has none must come from the command line."""
    if isinstance(given, kind):
        return given
    required = [entry.name for entry in fields(kind) if entry.default is MISSING and entry.default_factory is MISSING]
    return kind(**dict.fromkeys(required, tyro.MISSING))


def _plain(kind: Any, chosen: Any) -> Any:
    """The modality's options as their own class again."""
    return type(kind)(**{entry.name: getattr(chosen, entry.name) for entry in fields(kind)})


FREE = ("out", "resume", "overwrite", "processes")
"""Options that a resumption may be given with any value."""
LOCAL = ("cache", "workers", "save_minutes", "tracker")
"""Options that change nothing of what is computed, and that a resumption may be given anew."""


def resumed(arguments: Sequence[str], given: Config, stored: Config) -> Config:
    """The configuration stored with a run, with what the command line names anew of `LOCAL`."""
    named = {_path(argument.split("=")[0])[0] for argument in arguments if argument.startswith("--")}
    return replace(stored, out=given.out, **{name: getattr(given, name) for name in LOCAL if name in named})


def conflicts(arguments: Sequence[str], given: Config, stored: Config) -> list[str]:
    """Options named on the command line whose values are not those stored with a run."""
    found = []
    for argument in arguments:
        option = argument.split("=")[0]
        path = _path(option)
        if option.startswith("--") and path[0] not in (*FREE, *LOCAL) and _value(given, path) != _value(stored, path):
            found.append(option)
    return found


def _path(option: str) -> list[str]:
    """Where a configuration keeps the value of an option: `--method.alpha` is `method_options`, `alpha`."""
    *sections, last = option.removeprefix("--").replace("-", "_").split(".")
    kinds = ("dataset", "method", "encoder")
    return [f"{name}_options" if name in kinds else name for name in sections] + [last.removeprefix("no_")]


def _value(config: Any, path: Sequence[str]) -> Any:
    for name in path:
        config = getattr(config, name, None)
    return config
