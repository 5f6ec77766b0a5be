"""The engine `ray`: the parts of a table as a Ray Data set, answered by actors on as many machines as there are."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from serving.offline.errors import InvalidOption
from serving.offline.plan import Plan
from serving.offline.worker import Means, Part, Worker

SWITCH = "RAY_USAGE_STATS_ENABLED"
"""Ray reports its use to its maker unless this variable is 0."""
AT_ONCE = 4096
"""Parts of one data set: each is a block of its own, and Ray keeps account of every block."""


class Actor:
    """A worker in a process of Ray's, perhaps on another machine."""

    def __init__(self, plan: Plan, means: Means, batch: int) -> None:
        self._worker, self._batch = Worker(plan, means), batch

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[Any]]:
        """The parts of the given numbers."""
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
        workers: how many; None is as many as there are cores for.

    Raises:
        InvalidOption: Ray is not installed.
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
        cores = max(means.threads, means.inference_threads or 1)
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
        gpus = 0 if means.providers == ("CPUExecutionProvider",) else 1
        for first in range(0, len(numbers), AT_ONCE):
            wanted = [{"number": number} for number in numbers[first : first + AT_ONCE]]
            answered = ray.data.from_items(wanted, override_num_blocks=len(wanted)).map_batches(
                Actor,
                fn_constructor_kwargs={"plan": plan, "means": means, "batch": batch},
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(count, len(wanted))),
                num_cpus=cores,
                num_gpus=gpus,
            )
            for row in answered.iter_rows():
                yield Part(int(row["number"]), int(row["rows"]), int(row["errors"]), bytes(row["content"]))
    finally:
        if started:
            ray.shutdown()
