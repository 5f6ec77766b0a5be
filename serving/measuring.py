"""How many samples to join into one inference: measured on this machine, for this graph, before it serves."""

import logging
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from bundle.manifest import GOLDEN
from bundle.predictor import Arrays, Predictor
from bundle.selfcheck import golden_payloads, read_golden
from serving.examples import complete
from serving.logs import NAME

logger = logging.getLogger(NAME)
GAIN = 0.85
"""A doubled batch must take at most this part of the time for a sample; otherwise it only adds waiting."""
CLEARLY_NOT = 0.97
"""A doubled batch that takes more than this part once needs no second look."""
SHARE = 0.1
"""Of the time of a whole sample, decoding included, that joining must save to be worth it."""
BUDGET = 1.0
"""Seconds after which no larger batch is tried."""
REPEATS = 5
HOPS = 50
"""Hand-overs that are timed."""
HANDED_OVER = 10
"""What joining a sample to others costs, in hand-overs between threads, with the event loop's part in them."""


def batch_size(predictor: Predictor, most: int) -> int:
    """The number of samples, a power of two up to `most`, that the hardware repays; 1 if it repays none.

    Joining costs each sample further steps between threads, so what it saves must be more than that.
    As a side effect every size tried has been run, so that no request pays for a first run.
    """
    payloads = _sample(predictor)
    arrays = predictor.prepare(payloads)
    started = perf_counter()
    predictor.prepare(payloads)
    decoding = perf_counter() - started
    best, (single, seconds) = 1, (0.0, 0.0)
    joining = HANDED_OVER * _hop()
    while best * 2 <= most and perf_counter() - started < BUDGET:
        smaller, doubled = _compare(predictor, arrays, best)
        single = single or smaller
        if doubled > GAIN * smaller or single - doubled < max(joining, SHARE * (decoding + single)):
            break
        best, seconds = best * 2, doubled
    if not single:
        predictor.infer([arrays])
    logger.info(
        "measured",
        extra={
            "model": predictor.manifest.name,
            "batch": best,
            "decoding_ms": round(1e3 * decoding, 3),
            "single_ms": round(1e3 * single, 3),
            "batched_ms": round(1e3 * seconds, 3),
            "joining_ms": round(1e3 * joining, 3),
        },
    )
    return best


def sample_seconds(predictor: Predictor) -> float:
    """Seconds that one sample takes, decoded and inferred; something must have been run before."""
    payloads = _sample(predictor)
    started = perf_counter()
    predictor.predict([payloads])
    return perf_counter() - started


def _sample(predictor: Predictor) -> dict[str, bytes]:
    """What is measured with: golden payloads of every input, since one that is missing is decoded in no time."""
    names = predictor.manifest.modalities
    return complete(golden_payloads(read_golden(predictor.folder / GOLDEN), names), names)


def _compare(predictor: Predictor, arrays: Arrays, size: int) -> tuple[float, float]:
    """Seconds for each sample of batches of `size` and of twice that, run in turns: the shortest after a first run."""
    found: tuple[list[float], list[float]] = ([], [])
    started = perf_counter()
    for turn in range(REPEATS + 1):
        if turn > 1 and (perf_counter() - started > BUDGET / 2 or min(found[1][1:]) > CLEARLY_NOT * min(found[0][1:])):
            break
        for times, count in zip(found, (size, size * 2), strict=True):
            batch: Sequence[Arrays] = [arrays] * count
            began = perf_counter()
            predictor.infer(batch)
            times.append((perf_counter() - began) / count)
    return min(found[0][1:]), min(found[1][1:])


def _hop() -> float:
    """Seconds to hand something to another thread and back."""
    found = []
    with ThreadPoolExecutor(1) as thread:
        for _ in range(HOPS):
            began = perf_counter()
            thread.submit(int).result()
            found.append(perf_counter() - began)
    return statistics.median(found)
