"""The engine `ray`: the parts of a table as a Ray Data set, answered by actors on as many machines as there are."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from serving.offline.errors import EngineFailed, InvalidOption
from serving.offline.plan import Plan
from serving.offline.worker import Means, Part, Worker

SWITCH = "RAY_USAGE_STATS_ENABLED"
"""Ray reports its use to its maker unless this variable is 0."""
RETRIES = 3
"""Times that a worker which died is started again, and that its part is tried again."""
AT_ONCE = 4096
"""Parts of one data set: each is a block of its own, and Ray keeps account of every block."""


class Actor:
    """A worker in a process of Ray's, perhaps on another machine."""

    def __init__(self, plan: Plan, means: Means, batch: int) -> None:
        self._plan, self._means, self._batch = plan, means, batch
        self._worker: Worker | None = None

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[Any]]:
        """The parts of the given numbers.

        The bundle is loaded with the first: Ray would try a constructor that fails for ten minutes.
        """
        if self._worker is None:
            self._worker = Worker(self._plan, self._means)
        found = [asdict(part) for part in self._worker.parts(map(int, rows["number"]), self._batch)]
        return {name: [part[name] for part in found] for name in found[0]}


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


def parts(plan: Plan, numbers: Sequence[int], means: Means, batch: int, workers: int | None) -> Iterator[Part]:
    """The parts of these numbers, in any order, as they are answered.

    Ray is started on this machine, unless it runs here already or RAY_ADDRESS names a cluster.

    Args:
        plan: the run; every machine must see its files at the same places.
        numbers: of the parts.
        means: of each worker, which takes as many cores as it has threads, and a GPU where the provider needs one.
        batch: samples of an inference.
        workers: how many; None, and at most, as many as there are cores for.

    Raises:
        InvalidOption: Ray is not installed, or a worker has more threads than any machine has cores.
        EngineFailed: the bundle cannot be used where a worker is, or workers die again and again.
    """
    ray = ray_module()
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    started = not ray.is_initialized()
    if started:
        ray.init(logging_level="ERROR", log_to_driver=False)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        cores, most = _room(ray, means)
        gpus = 1 if means.execution.targets != ("cpu",) and "GPU" in ray.cluster_resources() else 0
        for first in range(0, len(numbers), AT_ONCE):
            wanted = [{"number": number} for number in numbers[first : first + AT_ONCE]]
            answered = ray.data.from_items(wanted, override_num_blocks=len(wanted)).map_batches(
                Actor,
                fn_constructor_kwargs={"plan": plan, "means": means, "batch": batch},
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(workers or most, most, len(wanted))),
                num_cpus=cores,
                num_gpus=gpus,
                max_restarts=RETRIES,
                max_task_retries=RETRIES,
            )
            for row in answered.iter_rows():
                yield Part(int(row["number"]), int(row["rows"]), int(row["errors"]), bytes(row["content"]))
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EngineFailed(f"expected answers from Ray's workers, found {type(error).__name__}: {lines[-1]}") from error
    finally:
        if started:
            ray.shutdown()


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
