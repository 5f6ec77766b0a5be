"""An engine on this machine's card, beside ONNX Runtime: does it load, agree, and how long does it take?

    python -m benchmarks.tensorrt_engine BUNDLE [--library tensorrt|rtx] [--graph FILE] [--target SM80] [--batches 1 8]

Reads a bundle's graph (or another one of the same inputs, such as its engines/int8.onnx), its golden samples and the
lengths in its manifest, and needs no more than numpy, torch, onnxruntime and TensorRT or TensorRT-RTX, so that it runs
where nothing else of ours does. Without a GPU it ends after the building. The exit code is 1 where outputs are further
apart than the tolerance, and 2 where the engine does not run.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import ExportError
from export.tensorrt_build import Shapes, build
from export.tensorrt_library import Library, tensorrt, tensorrt_rtx
from export.tensorrt_run import Execution, card

TOLERANCE = 0.02
"""Largest difference of a probability."""


def golden(folder: Path) -> dict[str, Any]:
    """The golden samples that lack nothing, as one batch: padding and what is present are made here."""
    stated = json.loads((folder / "manifest.json").read_text())
    stored = np.load(folder / "golden.npz", allow_pickle=False)
    names = [entry["name"] for entry in stated["inputs"]]
    whole = [index for index in range(len(stored.files)) if all(f"{index}/array/{name}" in stored for name in names)]
    feed: dict[str, Any] = {}
    for entry in stated["inputs"]:
        arrays = [stored[f"{index}/array/{entry['name']}"] for index in whole]
        longest = max(len(array) for array in arrays)
        pad = entry["parameters"].get("pad_id", 0)
        varying = entry["shape"] == [None]
        joined = [np.pad(one, (0, longest - len(one)), constant_values=pad) if varying else one for one in arrays]
        feed[entry["name"]] = np.stack(joined)
    feed["present"] = np.ones((len(whole), len(names)), np.bool_)
    return feed


def shapes(folder: Path, batches: Sequence[int]) -> dict[str, Shapes]:
    """From one sample to the largest batch, and texts from one token to the longest."""
    stated = json.loads((folder / "manifest.json").read_text())
    found: dict[str, Shapes] = {"present": _ends(batches, [len(stated["inputs"])], [len(stated["inputs"])])}
    for entry in stated["inputs"]:
        most = [entry["parameters"]["max_length"] if size is None else size for size in entry["shape"]]
        found[entry["name"]] = _ends(batches, [1 if size is None else size for size in entry["shape"]], most)
    return found


def _ends(batches: Sequence[int], least: Sequence[int], most: Sequence[int]) -> Shapes:
    return (1, *least), (min(8, max(batches)), *most), (max(batches), *most)


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest difference of a probability."""
    return max(float(np.abs(_softmax(one[name]) - _softmax(other[name])).max()) for name in one if "shift" not in name)


def _softmax(values: Any) -> Any:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def milliseconds(task: Callable[[], object], wait: Callable[[], object]) -> float:
    """Median of thirty times after five."""
    found = []
    for number in range(35):
        wait()
        start = time.perf_counter()
        task()
        wait()
        if number >= 5:
            found.append(1e3 * (time.perf_counter() - start))
    return statistics.median(found)


def measure(execution: Execution, graph: bytes, feed: dict[str, Any], batches: Sequence[int]) -> bool:
    """Compare, then print a table; returns whether the outputs agree."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(graph, providers=onnxruntime.get_available_providers())
    names = [node.name for node in session.get_outputs()]
    found = apart(execution.run(feed), dict(zip(names, session.run(names, feed), strict=True)))
    print(f"{len(feed['present'])} golden samples: probabilities at most {found:.2g} apart, {TOLERANCE:g} allowed")
    provider = session.get_providers()[0]
    print(f"| batch | ms engine | ms ONNX Runtime ({provider}) | times |\n|---|---|---|---|")
    for batch in batches:
        many = {name: values[np.arange(batch) % len(values)] for name, values in feed.items()}
        given = execution.upload(many)
        one = milliseconds(lambda given=given: execution.launch(given), torch.cuda.synchronize)  # type: ignore[misc]
        other = milliseconds(lambda many=many: session.run(names, many), torch.cuda.synchronize)  # type: ignore[misc]
        print(f"| {batch} | {one:.3f} | {other:.3f} | {other / one:.1f} |", flush=True)
    return found <= TOLERANCE


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, load, compare and time; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--library", choices=("tensorrt", "rtx"), default="tensorrt")
    parser.add_argument("--graph", type=Path, help="another graph than the bundle's own")
    parser.add_argument("--target", help="a compute capability such as SM80; TensorRT-RTX alone")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    chosen = parser.parse_args(arguments)
    graph = (chosen.graph or chosen.bundle / "model.onnx").read_bytes()
    feed = golden(chosen.bundle)
    try:
        library: Library = tensorrt() if chosen.library == "tensorrt" else tensorrt_rtx()
        start = time.perf_counter()
        largest = max(*chosen.batches, len(feed["present"]))
        engine = build(library, graph, shapes(chosen.bundle, [largest]), chosen.target)
        seconds = time.perf_counter() - start
        target = chosen.target or "no target named"
        print(f"{library.kind} {library.version}, {target}: {len(engine) / 1e6:.1f} MB in {seconds:.1f} s", flush=True)
        print("on {} ({})".format(*card()), flush=True)
        return 0 if measure(Execution(library, engine), graph, feed, chosen.batches) else 1
    except ExportError as error:
        print(f"does not run: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
