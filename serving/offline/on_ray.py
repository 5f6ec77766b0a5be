"""The engine `ray`: the parts of a table as a Ray Data set, answered by actors on as many machines as there are."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import islice
from types import TracebackType
from typing import Any, Self

from bundle.errors import ExecutionUnavailable
from serving.offline.errors import EngineFailed, InvalidOption
from serving.offline.plan import Plan
from serving.offline.worker import Found, Means, Part, Worker

SWITCH = "RAY_USAGE_STATS_ENABLED"
"""Ray reports its use to its maker unless this variable is 0."""
RETRIES = 3
"""Times that a worker which died is started again, and that its part is tried again."""
AT_ONCE = 4096
"""Parts of one data set: each is a block of its own, and Ray keeps account of every block."""


class Actor:
    """A worker in a process of Ray's, perhaps on another machine.

    Args:
        plan: the run.
        means: what it works with.
        settled: what the first worker found; one whose machine computes otherwise refuses.
    """

    def __init__(self, plan: Plan, means: Means, settled: Found) -> None:
        self._plan, self._means, self._settled = plan, means, settled
        self._worker: Worker | None = None

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[Any]]:
        """The parts of the given numbers.

        The bundle is loaded with the first: Ray would try a constructor that fails for ten minutes.

        Raises:
            ExecutionUnavailable: this machine does not compute as the first one.
        """
        if self._worker is None:
            worker = Worker(self._plan, self._means)
            check_alike(worker.arithmetic, self._settled.arithmetic)
            self._worker = worker
        found = [asdict(part) for part in self._worker.parts(map(int, rows["number"]), self._settled.batch)]
        return {name: [part[name] for part in found] for name in found[0]}


def check_alike(found: str, settled: str) -> None:
    """Refuse a machine that computes otherwise than the run.

    Raises:
        ExecutionUnavailable: it does.
    """
    if found != settled:
        raise ExecutionUnavailable(f"expected a machine that computes in {settled} as the first, found one in {found}")


def look(plan: Plan, means: Means, batch: int | None) -> Found:
    """What a machine of Ray's says of the bundle."""
    return Worker(plan, means).found(batch)


def ray_module() -> Any:
    """Ray, told to report to nobody.

    Raises:
        InvalidOption: it is not installed.
    """
    os.environ.setdefault(SWITCH, "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InvalidOption("engine: expected Ray Data, it is not installed: pip install 'infobridge[ray]'") from None
    return ray


class Workers:
    """Ray, with workers of one run. A context manager, which starts Ray on this machine unless it runs here already or
    RAY_ADDRESS names a cluster, and ends what it started.

    Args:
        plan: the run; every machine must see its files at the same places.
        means: of each worker, which takes as many cores as it has threads, and a GPU where the provider needs one.
        workers: how many; None, and at most, as many as there are cores for.

    Raises:
        InvalidOption: Ray is not installed, or a worker has more threads than any machine has cores.
    """

    def __init__(self, plan: Plan, means: Means, workers: int | None) -> None:
        self._plan, self._means, self._wanted = plan, means, workers
        self._settled: Found | None = None
        self._ray = ray = ray_module()
        logging.getLogger("ray").setLevel(logging.ERROR)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        self._started = not ray.is_initialized()
        if self._started:
            ray.init(logging_level="ERROR", log_to_driver=False)
        try:
            self._cores, self._most = _room(ray, means)
        except InvalidOption:
            self.close()
            raise
        self._gpus = 1 if means.execution.targets != ("cpu",) and "GPU" in ray.cluster_resources() else 0

    def __enter__(self) -> Self:
        """The workers themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End Ray where it was started here."""
        self.close()

    def close(self) -> None:
        """End Ray where it was started here."""
        if self._started:
            self._ray.shutdown()

    def found(self, batch: int | None) -> Found:
        """What a machine that will work says of the bundle, which this one may be unable to run.

        Raises:
            EngineFailed: the bundle cannot be used there.
        """
        with self._failing():
            remote = self._ray.remote(num_cpus=self._cores, num_gpus=self._gpus, max_calls=1)(look)
            found: Found = self._ray.get(remote.remote(self._plan, self._means, batch))
        self._settled = found
        return found

    def parts(self, numbers: Iterable[int], batch: int) -> Iterator[Part]:
        """The parts of these numbers, in any order, as they are answered.

        Raises:
            EngineFailed: the bundle cannot be used where a worker is, or workers die again and again.
        """
        settled = replace(self._settled or self.found(batch), batch=batch)
        with self._failing():
            context = self._ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            left = iter(numbers)
            while rows := [{"number": number} for number in islice(left, AT_ONCE)]:
                answered = self._ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                    Actor,
                    fn_constructor_kwargs={"plan": self._plan, "means": self._means, "settled": settled},
                    batch_size=1,
                    compute=self._ray.data.ActorPoolStrategy(
                        size=min(self._wanted or self._most, self._most, len(rows))
                    ),
                    num_cpus=self._cores,
                    num_gpus=self._gpus,
                    max_restarts=RETRIES,
                    max_task_retries=RETRIES,
                )
                for row in answered.iter_rows():
                    yield Part(int(row["number"]), int(row["rows"]), int(row["errors"]), bytes(row["content"]))

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Ray's errors as ours, in one line."""
        try:
            yield
        except self._ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            what = f"expected answers from Ray's workers, found {type(error).__name__}: {lines[-1]}"
            raise EngineFailed(what) from error


def _room(ray: Any, means: Means) -> tuple[int, int]:
    """Cores that a worker takes, and how many workers there is room for; Ray would wait for ever for more.

    Raises:
        InvalidOption: a worker needs more cores than any machine has.
    """
    cores = max(means.threads, means.inference_threads or 1)
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if cores > max(machines):
        raise InvalidOption(f"threads: expected at most as many as a machine has cores, {max(machines)}, found {cores}")
    return cores, sum(count // cores for count in machines)
