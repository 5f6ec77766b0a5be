"""What contributions and distances cost in a bundle's graph, beside the same graph without them.

    python -m benchmarks.explanation bundles/mine [bundles/other ...]

The graph is cut so that it gives the logits and the shares only, and so that it gives the coalitions too, from which
contributions come; all are run in turns on the same inputs, with one thread. Prints the ratios of the times for several
batch sizes: the median over the rounds, with the quartiles. The goal for contributions is 1.05 at most.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.utils import Extractor

from benchmarks.timing import interleaved, repeated
from bundle.answer import COALITIONS, LOGITS, PRESENT, SHARE
from bundle.manifest import GRAPH
from bundle.predictor import Predictor
from bundle.runtime import onnxruntime
from export.feeds import random_feed

BATCHES = (1, 8, 32)
ROUNDS, SECONDS = 21, 0.2
"""Of each graph in turn, and about how long each lasts."""


def session(content: bytes) -> Any:
    """One thread, so that what else the machine does disturbs least."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def cut(path: Path, modalities: tuple[str, ...], outputs: list[str]) -> bytes:
    """The same graph, cut so that only some outputs are computed."""
    shown = [LOGITS, *(SHARE + name for name in modalities), *outputs]
    found: bytes = Extractor(onnx.load(path)).extract_model([*modalities, PRESENT], shown).SerializeToString()
    return found


def ratios(folder: Path, batch: int) -> tuple[list[float], list[float]]:
    """Time of the graph with coalitions, and of the whole one, over that of the one with neither, for each round."""
    predictor = Predictor(folder)
    names = predictor.manifest.modalities
    feed = random_feed(predictor.modalities, batch, np.random.default_rng(0))
    feed[PRESENT] = np.ones((batch, len(names)), np.bool_)
    path = folder / GRAPH
    graphs = {"bare": cut(path, names, []), "contributions": cut(path, names, [COALITIONS]), "all": path.read_bytes()}
    runs = {name: partial(session(content).run, None, feed) for name, content in graphs.items()}
    start = time.perf_counter()
    for _ in range(3):
        runs["all"]()
    times = max(1, round(3 * SECONDS / (time.perf_counter() - start)))
    found = interleaved({name: repeated(run, times) for name, run in runs.items()}, ROUNDS)
    each = ([one / bare for one, bare in zip(found[name], found["bare"], strict=True)] for name in list(runs)[1:])
    return next(each), next(each)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every bundle; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    print("| bundle | batch | with contributions | with distances too |\n|---|---|---|---|")
    for folder in parser.parse_args(arguments).bundles:
        for batch in BATCHES:
            figures = [np.quantile(found, (0.5, 0.25, 0.75)) for found in ratios(folder, batch)]
            told = " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*one) for one in figures)
            print(f"| {folder.name} | {batch} | {told} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
