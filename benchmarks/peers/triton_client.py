"""Callers of a Triton server, who decode the samples themselves: one process, a thread for each.

    python -m benchmarks.peers.triton_client small-image-text --url grpc://127.0.0.1:3002 --callers 8 --seconds 5

Prints as JSON what they were answered in a second, and what it took, their own processor time included.
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

from benchmarks.call import TOLERANCE, Figures
from benchmarks.peers.triton_server import NAME
from benchmarks.serving_samples import FOLDER, MODELS, Asked, choose, read_samples
from clients.errors import ClientError
from clients.triton import Client


@dataclass(frozen=True)
class Called:
    """What the callers saw."""

    rate: float
    """Right answers a second."""
    median: float
    """Milliseconds."""
    late: float
    """Milliseconds, the 99th of a hundred."""
    answered: int
    """Answers of any kind, those of the warm-up included."""
    cpu: float
    """Seconds of processor time of this process, the warm-up included."""
    mismatches: int
    refusals: dict[str, int]
    """What went wrong, and how often."""


def call(client: Client, asked: Sequence[Asked], callers: int, seconds: float, warmup: float) -> Called:
    """So many callers, each with one sample at a time."""
    figures = Figures(seconds)
    turn = itertools.count()
    lock = threading.Lock()
    before = process_time()
    begin = perf_counter() + warmup
    end = begin + seconds

    def one() -> None:
        while (start := perf_counter()) < end:
            sample = asked[next(turn) % len(asked)]
            try:
                best = client.predict(**sample.sample).predictions[0]  # type: ignore[arg-type]
            except ClientError as error:
                with lock:
                    figures.refuse(type(error).__name__)
                continue
            stop = perf_counter()
            expected = sample.expected.predictions[0]
            right = best.label == expected.label and abs(best.probability - expected.probability) <= TOLERANCE
            with lock:
                figures.answered += 1
                figures.mismatches += not right
                if right and begin <= stop <= end:
                    figures.latencies.append(stop - start)

    threads = [threading.Thread(target=one) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = (figures.rate, figures.percentile(0.5), figures.percentile(0.99))
    return Called(*times, figures.answered, process_time() - before, figures.mismatches, figures.refusals)


def main() -> None:
    """Call and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--url", required=True)
    parser.add_argument("--threads", type=int, default=2, help="of the predictor that says what is right")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warmup", type=float, default=0.7)
    parser.add_argument("--callers", type=int, default=8)
    options = parser.parse_args()
    bundle = options.folder / options.model / "bundle"
    asked = choose(read_samples(MODELS[options.model]), bundle, options.threads)
    gc.collect()
    gc.freeze()
    with Client(options.url, bundle, NAME, connections=options.callers) as client:
        print(json.dumps(asdict(call(client, asked, options.callers, options.seconds, options.warmup))))


if __name__ == "__main__":
    main()
