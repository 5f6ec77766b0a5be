"""What input costs a training: memory as the rows grow, and the time that the loop waits for its batches.

    python -m benchmarks.input                                  # both parts; about half an hour on two cores
    python -m benchmarks.input --parts memory --rows 1000 10000
    python -m benchmarks.input --parts waiting --workers 0 2

memory   one process for each number of rows reads a table of generated media, decodes it through the cache and goes
         twice over the training split with two workers. Counted is the anonymous memory of the process and its workers
         together: what they wrote or allocated. A page that several share counts once (`Pss_Anon` of the kernel's
         smaps_rollup, summed). Pages of mapped files are not counted: they are the system's cache of the disk, which it
         takes back when it needs memory. Nor are the batches on their way from the workers, which lie in shared memory:
         as many as are fetched ahead, whatever the rows.
waiting  trains with a ResNet-18 at 112 x 112 for pictures, frames and spectrograms, and prints the share of each
         epoch's time, from the second on, in which the loop waited for a batch; and the samples per second beside those
         without workers, in the same run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast

import psutil

from benchmarks.input_media import make
from training.command import parse
from training.config import Config
from training.fit import prepare
from training.loading import training_loader
from training.loop import Loop

LIMIT = 0.05
"""Of the time, from the second epoch on, that the loop may wait."""
GROWTH = 1.25
"""How many times the memory of the fewest rows that of the most may be."""
PAIRINGS = {"image-text": ("image", "text"), "audio-video": ("audio", "video")}
RESNET = [
    option
    for name in ("image", "audio", "video")
    for option in (f"--{name}.encoder", "resnet", f"--{name}.encoder.depth", "18")
]
SIZES = "--image.size 112 --video.size 112 --video.frames 3 --video.pool 3 --audio.window 446 --audio.bins 112".split()
SIZES += ["--audio.hop", "430"]  # 112 windows in three seconds


def config_of(table: Path, modalities: tuple[str, ...], workers: int, *more: str) -> Config:
    """A training on a table, on the CPU."""
    options = ["--dataset", "table", "--dataset.path", str(table), "--out", str(table.parent / "run"), *SIZES]
    options += ["--modalities", *modalities, "--workers", str(workers), "--device", "cpu", *more]
    return parse(options).config


def anonymous() -> float:
    """MiB of anonymous memory of this process and its children."""
    total = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text("utf-8").splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon"))
    return total / 1024


class Watch:
    """The most anonymous memory while a block runs, looked at every so often."""

    def __enter__(self) -> "Watch":
        self.most, self._over = anonymous(), Event()
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.2):
            self.most = max(self.most, anonymous())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.most = max(self.most, anonymous())


def one_size(table: Path, modalities: tuple[str, ...]) -> dict[str, float]:
    """MiB while a table is read and decoded, after it, and while its batches are made."""
    config = config_of(table, modalities, 2, "--image.size", "32", "--video.size", "32", "--audio.seconds", "0.5")
    start = anonymous()
    with Watch() as preparing:
        prepared = prepare(config)
    after = anonymous()
    loader, set_epoch = training_loader(config, prepared)
    found = []
    for epoch in range(2):
        set_epoch(epoch)
        for number, _ in enumerate(loader):
            if number % 20 == 5:
                found.append(anonymous())
    return {"imported": start, "preparing": preparing.most, "prepared": after, "training": max(found)}


def measure_memory(rows: list[int], modalities: tuple[str, ...]) -> bool:
    """A process for each number of rows; returns whether the claim holds."""
    print(f"\nmemory, {' + '.join(modalities)}, MiB of anonymous memory of the process and two workers", flush=True)
    print("| rows | imported | most while preparing | of the fewest rows' | prepared | most while training | same |")
    print("|---|---|---|---|---|---|---|", flush=True)
    growth: dict[str, float] = {}
    fewest: dict[str, float] = {}
    for count in rows:
        with tempfile.TemporaryDirectory() as folder:
            table = make(Path(folder), modalities, count)
            command = [sys.executable, "-m", "benchmarks.input", "--table", str(table), "--modalities", *modalities]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        fewest = fewest or figures
        growth = {name: figures[name] / fewest[name] for name in ("preparing", "training")}
        cells = [
            f"{count:,}",
            f"{figures['imported']:.0f}",
            f"{figures['preparing']:.0f}",
            f"{growth['preparing']:.2f}",
        ]
        cells += [f"{figures['prepared']:.0f}", f"{figures['training']:.0f}", f"{growth['training']:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    held = True
    for name, grown in growth.items():
        held &= verdict(f"{rows[-1]:,} rows take no more memory than {rows[0]:,} while {name}", grown, GROWTH)
    return held


class Timed:
    """A loader that keeps how long each pass over it took, and how much of that was waiting for a batch."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.passes: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        began, waited = time.perf_counter(), 0.0
        batches = iter(self.loader)
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - asked
            if batch is None:
                break
            yield batch
        self.passes.append((waited, time.perf_counter() - began))


def measure_waiting(pairing: str, samples: int, workers: list[int], epochs: int) -> bool:
    """Train on one pairing with each number of workers; returns whether the claim holds for the best."""
    print(f"\nwaiting, {pairing}, {samples} training samples, {epochs} epochs", flush=True)
    print("| workers | of the time waiting, by epoch from the second | samples/s | of those without workers |")
    print("|---|---|---|---|", flush=True)
    shares, speeds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        table = make(Path(folder), PAIRINGS[pairing], samples * 5 // 3)
        for count in workers:
            config = config_of(table, PAIRINGS[pairing], count, "--epochs", str(epochs), *RESNET)
            loop = Loop(config, prepare(config), config.out)
            config.out.mkdir(exist_ok=True)
            timed = Timed(loop.loader)
            loop.loader = cast(Any, timed)
            loop.run()
            own = [waited / whole for waited, whole in timed.passes[1:]]
            shares[count] = statistics.median(own)
            speeds[count] = samples / statistics.median(whole for _, whole in timed.passes[1:])
            told = ", ".join(f"{share:.1%}" for share in own)
            print(f"| {count} | {told} | {speeds[count]:.1f} | {speeds[count] / speeds[workers[0]]:.2f} |", flush=True)
    best = min(shares, key=lambda count: shares[count])
    return verdict(f"with {best} workers the loop waits little, median share", shares[best], LIMIT)


def verdict(claim: str, figure: float, limit: float) -> bool:
    """Print one line for a claim; returns whether it holds."""
    held = figure <= limit
    print(f"  {'holds' if held else 'DOES NOT HOLD'}: {claim}: {figure:.3g} (limit {limit:g})", flush=True)
    return held


def main() -> int:
    """Measure what was asked for; the exit code is 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("memory", "waiting"), default=["memory", "waiting"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--modalities", nargs="+", default=["image", "text", "genomics"], help="of the memory")
    parser.add_argument("--pairings", nargs="+", choices=tuple(PAIRINGS), default=list(PAIRINGS), help="of the waiting")
    parser.add_argument("--samples", type=int, default=480, help="training samples of the waiting")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table is not None:
        print(json.dumps(one_size(options.table, tuple(options.modalities))))
        return 0
    held = True
    if "memory" in options.parts:
        held &= measure_memory(options.rows, tuple(options.modalities))
    if "waiting" in options.parts:
        for pairing in options.pairings:
            held &= measure_waiting(pairing, options.samples, options.workers, options.epochs)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
