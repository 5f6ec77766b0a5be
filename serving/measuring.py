"""How many samples to join into one inference: measured on this machine, for this graph, before it serves."""

import logging
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from bundle.manifest import GOLDEN
from bundle.predictor import Arrays, Predictor
from bundle.selfcheck import golden_payloads, read_golden
from serving.logs import NAME

logger = logging.getLogger(NAME)
GAIN = 0.85
"""A doubled batch must take at most this part of the time for a sample; otherwise it only adds waiting."""
BUDGET = 1.0
"""Seconds after which no larger batch is tried."""
REPEATS = 3
HOPS = 50
"""Hand-overs that are timed."""
HANDED_OVER = 10
"""What joining a sample to others costs, in hand-overs between threads, with the event loop's part in them."""


def batch_size(predictor: Predictor, most: int) -> int:
    """The number of samples, a power of two up to `most`, that the hardware repays; 1 if it repays none.

    Joining costs each sample further steps between threads, so what it saves must be more than that.
    As a side effect every size tried has been run, so that no request pays for a first run.
    """
    golden = read_golden(predictor.folder / GOLDEN)
    arrays = predictor.prepare(golden_payloads(golden, predictor.manifest.modalities)[0])
    started = perf_counter()
    best, seconds = 1, _each(predictor, arrays, 1)
    single, joining = seconds, HANDED_OVER * _hop()
    while best * 2 <= most and perf_counter() - started < BUDGET:
        doubled = _each(predictor, arrays, best * 2)
        if doubled > GAIN * seconds or single - doubled < joining:
            break
        best, seconds = best * 2, doubled
    logger.info(
        "measured",
        extra={
            "model": predictor.manifest.name,
            "batch": best,
            "single_ms": round(1e3 * single, 3),
            "batched_ms": round(1e3 * seconds, 3),
            "joining_ms": round(1e3 * joining, 3),
        },
    )
    return best


def _each(predictor: Predictor, arrays: Arrays, size: int) -> float:
    """Seconds for each sample of a batch: the shortest of several runs after a first one."""
    batch: Sequence[Arrays] = [arrays] * size
    predictor.infer(batch)
    found = []
    for _ in range(REPEATS):
        began = perf_counter()
        predictor.infer(batch)
        found.append(perf_counter() - began)
    return min(found) / size


def _hop() -> float:
    """Seconds to hand something to another thread and back."""
    found = []
    with ThreadPoolExecutor(1) as thread:
        for _ in range(HOPS):
            began = perf_counter()
            thread.submit(int).result()
            found.append(perf_counter() - began)
    return statistics.median(found)
