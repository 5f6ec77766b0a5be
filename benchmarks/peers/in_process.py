"""The limit: the predictor itself, from raw bytes to predictions, without a server.

    python -m benchmarks.peers.in_process small-image-text --threads 2 --seconds 5

Callers are threads of one process. Prints, as JSON by number of callers, predictions a second and what each took.
"""

import argparse
import gc
import itertools
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.call import Figures
from benchmarks.serving_samples import FOLDER, MODELS, Sample, read_samples
from bundle.predictor import Predictor

SAMPLES = 64


@dataclass(frozen=True)
class Limit:
    """What the predictor does for some callers."""

    callers: int
    rate: float
    """Predictions a second."""
    median: float
    """Milliseconds."""
    late: float
    """Milliseconds, the 99th of a hundred."""
    cpu: float
    """Milliseconds of processor time for each prediction."""


def measure(predictor: Predictor, samples: Sequence[Sample], callers: int, seconds: float) -> Limit:
    """So many callers, each with one sample at a time, after a tenth of the time to warm up."""
    found: list[list[tuple[float, float]]] = [[] for _ in range(callers)]
    turn = itertools.count()
    begin = perf_counter() + seconds / 10
    end = begin + seconds

    def call(answered: list[tuple[float, float]]) -> None:
        while (start := perf_counter()) < end:
            predictor.predict([samples[next(turn) % len(samples)]])
            answered.append((start, perf_counter()))

    threads = [threading.Thread(target=call, args=(answered,)) for answered in found]
    before = process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu = 1e3 * (process_time() - before) / max(1, sum(map(len, found)))
    times = [stop - start for answered in found for start, stop in answered if begin <= stop <= end]
    figures = Figures(seconds, times)
    return Limit(callers, figures.rate, figures.percentile(0.5), figures.percentile(0.99), cpu)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--threads", type=int, default=2, help="of one inference")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each number of callers")
    parser.add_argument("--callers", nargs="+", type=int, default=[1, 2, 4, 8])
    options = parser.parse_args()
    predictor = Predictor(options.folder / options.model / "bundle", threads=options.threads)
    samples = read_samples(MODELS[options.model])[:SAMPLES]
    gc.freeze()
    limits = [measure(predictor, samples, callers, options.seconds) for callers in options.callers]
    print(json.dumps([asdict(limit) for limit in limits]))


if __name__ == "__main__":
    main()
