"""The command of an offline run, and how it goes: what is kept, what is still to be answered, what is written."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import tyro

from bundle.errors import BundleError, TableError
from bundle.execution import Target
from bundle.tables.progress import RunProgress
from bundle.tables.table import is_parquet, parquet
from bundle.tables.writing import check_name
from serving.offline import on_ray
from serving.offline.errors import InvalidOption
from serving.offline.joining import join
from serving.offline.parts import Parts
from serving.offline.plan import Plan, Rules, Shard
from serving.offline.worker import Found, Means, Part, Worker
from serving.settings import Settings, cores

SOME_FAILED = 3
STOPPED = 130


class Engine(Protocol):
    """What answers parts."""

    def found(self, batch: int | None) -> Found:
        """What a worker says of its machine; it measures `batch` where that is None."""

    def parts(self, numbers: Iterable[int], batch: int) -> Iterator[Part]:
        """The parts of these numbers, in any order."""


@dataclass(frozen=True)
class Offline:
    """Answer every row of a table with a bundle, in this process. What was answered is kept: the same command goes on
    where a run was stopped or killed.

    Limits of a payload are those of the service, INFOBRIDGE_PIXELS and so on; INFOBRIDGE_BODY_LIMIT is that of a file.
    Exit code 0: all rows have answers; 3: some have errors instead, which are in the output; 2: the run could not be
    finished; 130: it was interrupted.
    """

    bundle: tyro.conf.Positional[Path]
    """Folder of the bundle."""
    table: Path
    """CSV or Parquet file with a column for each input: paths relative to the table's folder, the text itself, and
    genomics in all columns named gene_... An empty cell is a missing modality, which the answer does without."""
    out: Path
    """CSV or Parquet file to write: the table's columns (but for the genes) and those of the answers, in the order of
    the table. A column whose name is taken, such as the true label, is named answer_... Its folder is made where there
    is none."""
    shard: str = "1/1"
    """Which of how many parts of the table, such as 3/16: rows that are next to each other. The answers of 3/16 go to
    OUT-03-of-16.parquet; those of all shards, one after the other, are the table."""
    require_all: tyro.conf.FlagCreatePairsOff[bool] = False
    """Make rows that lack an input errors, instead of answering without."""
    abstain_below: float | None = None
    """The least probability, from 0 to 1, of a class that is no case for a person; without it the bundle's own."""
    columns: tuple[str, ...] = ()
    """Columns of other names, as modality=column, for genomics a prefix; modality= leaves one out."""
    engine: Literal["local", "ray"] = "local"
    """This process, or Ray Data: on this machine, or with RAY_ADDRESS on a cluster that sees the same files."""
    batch: int | None = None
    """Samples of an inference; without it as many as this machine is measured to repay."""
    threads: int | None = None
    """Threads that decode; without it one for each core, with Ray one for each worker."""
    inference_threads: int | None = None
    """Threads of one inference; without it one for each core, with Ray one for each worker."""
    workers: int | None = None
    """Workers of Ray; without it as many as there are cores for."""
    providers: tuple[Target, ...] = ("cpu",)
    """Where the graph may run, best first: the first that works is taken, and the others before it are told. A bundle
    that runs on none of them is refused, and so is going on in another precision or with another provider. How a GPU is
    used is said by the variables of the service, INFOBRIDGE_GPU_DEVICE and so on."""
    require_gpu: tyro.conf.FlagCreatePairsOff[bool] = False
    """Refuse to begin, rather than run on the CPU, where no GPU works."""
    part: int = 256
    """Rows that are kept at a time: what a kill can cost."""
    overwrite: bool = False
    """Forget earlier answers, and replace the output."""

    def __post_init__(self) -> None:
        for name in ("batch", "threads", "inference_threads", "workers", "part"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InvalidOption(f"{name}: expected 1 or more, found {number}")
        if self.abstain_below is not None and not 0 <= self.abstain_below <= 1:
            raise InvalidOption(f"abstain_below: expected a number from 0 to 1, found {self.abstain_below}")
        if is_parquet(self.table):
            parquet()
        check_name(self.out)
        if self.out.resolve() == self.table.resolve():
            raise TableError("out: expected another file than the table")
        self.rows()

    def rows(self) -> Shard:
        """Which rows are meant.

        Raises:
            InvalidOption: no such shard.
        """
        number, separator, count = self.shard.partition("/")
        if not (separator and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise InvalidOption(f"shard: expected a number and how many there are, such as 3/16, found {self.shard!r}")
        return Shard(int(number), int(count))

    def means(self) -> Means:
        """What each worker works with.

        Raises:
            SettingsError: a variable cannot be used.
            ExecutionUnavailable: a GPU is required, and none is among the providers.
        """
        alone = self.engine == "local"
        threads = self.threads or (cores() if alone else 1)
        settings = replace(Settings.from_environment(), providers=self.providers, require_gpu=self.require_gpu)
        return Means(threads, self.inference_threads or (None if alone else 1), settings.execution())


def run(command: Offline) -> int:
    """Answer what is still to be answered, write the output, and say how it went.

    Returns:
        The exit code.

    Raises:
        BundleError, SettingsError: the run could not be finished; the message says what is kept.
    """
    plan, means = make_plan(command), command.means()
    folder = plan.out.with_name(plan.out.name + ".parts")
    if plan.out.exists() and not (folder / "run.json").exists() and not command.overwrite:
        raise TableError(f"{plan.out} is there already; --overwrite answers all rows anew and replaces it")
    total = sum(map(plan.size, range(plan.parts)))
    with Parts(folder, plan.identity(), command.batch, command.overwrite) as parts:
        try:
            answer(command, plan, means, parts)
            join(plan, parts)
        except KeyboardInterrupt:
            print(f"stopped; {_kept(plan, parts) or 'nothing is answered yet'}", file=sys.stderr)
            return STOPPED
        except BundleError as error:
            kept = _kept(plan, parts)
            raise BundleError(f"{error}; {kept}" if kept else str(error)) from error
        parts.remove()
        errors = parts.errors
    print(f"{plan.out}: {total - errors} answers" + (f", {errors} errors" if errors else ""))
    return SOME_FAILED if errors else 0


def make_plan(command: Offline) -> Plan:
    """The rows and the rules.

    Raises:
        BundleError, SettingsError: the bundle, the table or a variable cannot be used.
    """
    settings = Settings.from_environment()
    rules = Rules(command.require_all, command.abstain_below, settings.limits(), settings.body_limit)
    plan = Plan.make(command.bundle, command.table, command.columns, command.out, rules)
    shard = command.rows()
    return replace(plan, out=shard.path(command.out), shard=shard, part=command.part)


def answer(command: Offline, plan: Plan, means: Means, parts: Parts) -> None:
    """Answer the parts that are not there yet.

    Raises:
        BundleError: the bundle cannot be used, or what is kept was computed otherwise.
    """
    wanted = [number for number in range(plan.parts) if number not in parts.done]
    done = sum(plan.size(number) for number in parts.done)
    if not wanted:
        return
    with ExitStack() as stack:
        if command.engine == "ray":
            engine: Engine = stack.enter_context(on_ray.Workers(plan, means, command.workers))
        else:
            engine = Worker(plan, means)
        found = engine.found(parts.batch)
        _tell(found, means)
        parts.settle(found.batch, found.arithmetic)
        progress = stack.enter_context(RunProgress(done + sum(map(plan.size, wanted)), done, parts.errors))
        for part in engine.parts(wanted, found.batch):
            parts.put(part.number, part.errors, part.content)
            progress.advance(part.errors, part.rows)


def _tell(found: Found, means: Means) -> None:
    """Say where the graph runs, if that was a question, and what it cannot run on: never quietly elsewhere."""
    for target, reason in found.refused.items():
        print(f"not on {target}: {reason}", file=sys.stderr)
    if means.execution.targets != ("cpu",):
        print(f"on {found.device}, in {found.arithmetic}", file=sys.stderr)


def _kept(plan: Plan, parts: Parts) -> str:
    known = sum(map(plan.size, parts.done))
    if not known:
        return ""
    start, stop = plan.bounds
    return f"{parts.folder} keeps {known} of {stop - start} rows, and the same command goes on from there"
