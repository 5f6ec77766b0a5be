"""Offline runs: two processes beside one, and both engines, on generated pairs: `python -m benchmarks.offline`.

Scaling: one process answers the whole table on one core, then two shards side by side on two cores, in turns. Beside
the wall time stands how much processor time the two took together for that of the one, which other users of the machine
hardly change, and how much faster a plain loop got in two processes, which is what the machine had to give.
Engines: this process and Ray Data write the same table, which is compared byte by byte.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from tests.bundles import build_bundle
from tests.serving.offline.pairs import MEDIA, TEXTS

LOOP = "total = 0\nfor number in range({steps}): total += number * number"
TOLERANCE = 1e-6
"""Of a probability: other batches round differently."""
STEPS = 20_000_000
"""Of the plain loop: some seconds."""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    rows: int = 10_000
    """Pairs of the table."""
    broken: int = 100
    """Of them, those that cannot be answered."""
    pixels: int = 320
    """Width and height of the pictures."""
    rounds: int = 3
    """Times that one process and two are measured."""
    batch: int = 8
    """Samples of an inference."""
    scaling: bool = True
    """Whether to compare one process with two."""
    engines: bool = True
    """Whether to compare this process with Ray Data."""


@dataclass(frozen=True)
class Cost:
    """Of some processes side by side."""

    wall: float
    """Seconds until the last had ended."""
    processor: float
    """Seconds of all together."""


def generate(folder: Path, options: Options) -> Path:
    """A bundle, pictures, and `pairs.csv`, whose broken rows are spread evenly: unreadable, absent, or empty."""
    build_bundle(folder / "bundle", ("image", "text"))
    generator = np.random.default_rng(0)
    for number in range(MEDIA):
        coarse = Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        coarse.resize((options.pixels, options.pixels)).save(folder / f"{number}.png")
    (folder / "bad.png").write_bytes(b"no picture at all")
    every = options.rows // options.broken
    lines = ["id,image,text"]
    for row in range(options.rows):
        image, text = f"{row % MEDIA}.png", TEXTS[row % len(TEXTS)]
        if row % every == every - 1 and row // every < options.broken:
            image, text = (("bad.png", text), ("none.png", text), ("", ""))[row // every % 3]
        lines.append(f'{row},{image},"{text}"')
    table = folder / "pairs.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def command(folder: Path, out: Path, batch: int, *arguments: str) -> list[str]:
    """The command line of an offline run with one thread of each kind."""
    given = [str(folder / "bundle"), "--table", str(folder / "pairs.csv"), "--out", str(out), "--overwrite"]
    threads = ["--threads", "1", "--inference-threads", "1", "--batch", str(batch)]
    return [sys.executable, "-m", "serving.offline", *given, *threads, *arguments]


def side_by_side(commands: Sequence[Sequence[str]], cores: Sequence[int], codes: tuple[int, ...]) -> Cost:
    """Run each command on a core of its own.

    Raises:
        RuntimeError: one ended with another code than `codes`.
    """
    started = time.perf_counter()
    running = []
    for given, core in zip(commands, cores, strict=False):
        pinned = ["taskset", "-c", str(core), *given]
        running.append(subprocess.Popen(pinned, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    processor = 0.0
    for process in running:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        processor += used.ru_utime + used.ru_stime
        if process.returncode not in codes:
            raise RuntimeError(f"expected an end with one of {codes}, found {process.returncode}: {process.args!r}")
    return Cost(time.perf_counter() - started, processor)


def speedup(one: Sequence[Cost], two: Sequence[Cost]) -> tuple[float, float]:
    """How many times as fast two processes were, and how much of one's processor time both took: medians of rounds."""
    pairs = list(zip(one, two, strict=True))
    return statistics.median(a.wall / b.wall for a, b in pairs), statistics.median(
        b.processor / a.processor for a, b in pairs
    )


def measure_scaling(folder: Path, options: Options) -> None:
    """Print how much faster two shards on two cores are than the whole on one.

    Raises:
        RuntimeError: the machine has one core, or the shards together are not the whole.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise RuntimeError("expected two cores for two processes, found one")
    whole, shards = folder / "whole.csv", folder / "shards.csv"
    loop = [sys.executable, "-c", LOOP.format(steps=STEPS)]
    half = [sys.executable, "-c", LOOP.format(steps=STEPS // 2)]
    found: dict[str, list[Cost]] = {"one": [], "two": [], "loop": [], "half": []}
    for number in range(options.rounds):
        two = [command(folder, shards, options.batch, "--shard", f"{shard}/2") for shard in (1, 2)]
        tasks = {
            "one": ([command(folder, whole, options.batch)], (0, 3)),
            "two": (two, (0, 3)),
            "loop": ([loop], (0,)),
            "half": ([half, half], (0,)),
        }
        for name in tasks if number % 2 == 0 else reversed(tasks):
            found[name].append(side_by_side(tasks[name][0], cores, tasks[name][1]))
            cost = found[name][-1]
            print(f"round {number + 1}, {name}: {cost.wall:.1f} s, {cost.processor:.1f} s of processors", flush=True)
    faster, work = speedup(found["one"], found["two"])
    machine, _ = speedup(found["loop"], found["half"])
    print(f"two processes: {faster:.2f} times as fast as one, with {work:.2f} times its processor time, start included")
    print(f"a plain loop in two processes, at the same time: {machine:.2f} times as fast")
    check_shards(whole, shards)


def check_shards(whole: Path, shards: Path) -> None:
    """See that two shards, one after the other, have the rows of the whole; probabilities up to rounding.

    Raises:
        RuntimeError: they do not.
    """
    expected = _read(whole)
    found = [row for number in (1, 2) for row in _read(shards.with_stem(f"{shards.stem}-{number}-of-2"))]
    for one, other in zip(expected, found, strict=True):
        plain = [name for name, cell in one.items() if "." not in cell]
        near = abs(float(one["probability"] or 0) - float(other["probability"] or 0)) < TOLERANCE
        if not near or [one[name] for name in plain] != [other[name] for name in plain]:
            raise RuntimeError(f"expected the same rows, found {other} for {one}")
    print(f"rows of both shards equal to those of the whole: {len(found)} of {len(expected)}")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compare_engines(folder: Path, options: Options) -> None:
    """Print whether both engines write the same bytes.

    Raises:
        RuntimeError: they do not.
    """
    if find_spec("ray") is None:
        print("engines: Ray Data is not installed (pip install 'infobridge[ray]'), so there is nothing to compare")
        return
    for kind in ("csv", "parquet"):
        outs = [folder / f"{engine}.{kind}" for engine in ("local", "ray")]
        for engine, out in zip(("local", "ray"), outs, strict=True):
            started = time.perf_counter()
            given = command(folder, out, options.batch, "--engine", engine)
            done = subprocess.run(given, capture_output=True, text=True)
            if done.returncode not in (0, 3):
                raise RuntimeError(done.stderr)
            print(f"{engine}: {done.stdout.strip()}, {time.perf_counter() - started:.1f} s", flush=True)
        same = outs[0].read_bytes() == outs[1].read_bytes()
        print(f"{kind}: both engines wrote {'the same' if same else 'different'} {outs[0].stat().st_size:,} bytes")
        if not same:
            raise RuntimeError("expected the same file from both engines")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found."""
    options = tyro.cli(Options, args=arguments, description=__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, options)
        if options.engines:
            compare_engines(folder, options)
        if options.scaling:
            measure_scaling(folder, options)


if __name__ == "__main__":
    main()
