"""Training on an accelerator at the paper's encoder shapes, on real data, beside what the card itself can do.

    python -m benchmarks.gpu_training measure                    # with the real data in ../shared/data
    python -m benchmarks.gpu_training measure --pairings image-text --variants bf16 bf16+compile --parts steps profile
    python -m benchmarks.gpu_training pack FOLDER                # a small part of the data, for a machine without it
    python -m benchmarks.gpu_training measure --data FOLDER --json found.json

Batches of 128 and the recipes of §4.1: ResNet-18 on 3 frames of 224 x 224 and on spectrograms of 224 x 224; ViT-B/16 at
224 and BERT-base; ResNet-50 on tiles of 224 and the network of 80 -> 64 -> 48 -> 32 -> 32. First weights are random.
Model, method, optimiser, loader and loop are those of `python -m training.fit`.

steps    steps of joint training and of InfoBridge on batches that lie on the card already, in turns: samples per
         second, the model's operations per second as a share of the card's bf16 peak, and the median over the rounds of
         the ratio of a step of InfoBridge to one of joint training (goal 1.05).
fed      InfoBridge fed by the loader's worker processes, which augment: samples per second, and the share of the time
         that a step is longer by than on batches that lie on the card, the wait for data. Every sample is decoded
         before, as from the second epoch on.
profile  which kernels a step of InfoBridge spends its time in, how long the card has nothing to do, and which lines of
         code make the host wait for it, the loader's batches included. Needs CUDA.

The first two steps of every turn are not timed, nor is what is compiled; every turn begins and ends synchronised.
"""

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path

import torch

from benchmarks.gpu.product import SIZE, product_rate
from benchmarks.gpu_training_data import PAIRINGS, configured, pack, prepared
from benchmarks.gpu_training_peak import datasheet, operations
from benchmarks.gpu_training_profile import profile, waits
from benchmarks.gpu_training_steps import Feed, Turn, Variant, loops, resident, take
from benchmarks.timing import median_ratio
from training.batch import Batch
from training.config import Config
from training.loop import Loop
from training.preparation import Prepared
from training.progress import begin

PARTS = ("steps", "fed", "profile")
HEADINGS = (
    *("pairing", "variant", "joint ms", "InfoBridge ms", "ratio", "samples/s", "TFLOP/s", "of measured peak"),
    *("of datasheet", "fed samples/s", "of measured peak", "waiting"),
)


@dataclass
class Found:
    """Of one pairing and variant; times in seconds of one step, one for each round."""

    pairing: str
    variant: str
    batch: int
    operations: float
    """Of the model in one step, forward and backward."""
    joint: list[float]
    infobridge: list[float]
    fed: float | None = None
    waiting: float | None = None
    """Share of the time in which the host waits, which may be while the card still works."""
    memory: int = 0
    """Most bytes of the card that were in use."""

    @property
    def ratio(self) -> float:
        """How many times a step of joint training one of InfoBridge takes."""
        return median_ratio(self.infobridge, self.joint)

    def row(self, peak: float, sheet: float | None) -> str:
        """A line of the table."""
        step = statistics.median(self.infobridge)
        rate = self.operations / step
        cells = [self.pairing, self.variant, f"{1e3 * statistics.median(self.joint):.2f}", f"{1e3 * step:.2f}"]
        cells += [f"{self.ratio:.3f}", f"{self.batch / step:,.0f}", f"{rate / 1e12:.1f}", f"{rate / peak:.1%}"]
        cells.append("" if sheet is None else f"{rate / sheet:.1%}")
        if self.fed is not None:
            shares = [f"{self.operations / self.fed / peak:.1%}", f"{max(0.0, 1 - step / self.fed):.1%}"]
            cells += [f"{self.batch / self.fed:,.0f}", *shares]
        return "| " + " | ".join(cells + [""] * (len(HEADINGS) - len(cells))) + " |"


def steps_for(seconds: float, each: float, most: int) -> int:
    """How many steps of that length fill the time: at least 3, at most `most`."""
    return max(3, min(most, round(seconds / each)))


def measure_steps(
    own: dict[str, Loop], batches: list[Batch], options: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Seconds of a step of each loop in each round, the loops in turns."""
    for loop in own.values():  # every batch is seen once, so that nothing is left to be compiled
        take(loop, Feed(cycle(batches), Turn(len(batches))))
    each = max(take(loop, Feed(cycle(batches), Turn(3))).each for loop in own.values())
    count = options.steps or steps_for(options.seconds, each, 200)
    times: dict[str, list[float]] = {name: [] for name in own}
    for number in range(options.rounds):
        for name in list(own) if number % 2 == 0 else list(reversed(own)):
            times[name].append(take(own[name], Feed(cycle(batches), Turn(count))).each)
    return times["joint"], times["infobridge"]


def measure_fed(loop: Loop, each: float, options: argparse.Namespace) -> Turn:
    """Steps on what the loader gives, after as many as its workers have under way at first."""
    lead = max(2, options.workers)
    count = options.steps or steps_for(options.fed_seconds, each, len(loop.loader) - lead)
    return take(loop, Feed(loop.loader, Turn(min(count, len(loop.loader) - lead)), lead))


def measure(name: tuple[str, Variant], data: tuple[Config, Prepared], options: argparse.Namespace) -> Iterator[Found]:
    """All parts that were asked for; what was found is given after each, so that a part that fails takes no other."""
    (pairing, variant), (config, samples) = name, data
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    own = loops(config, samples, variant, config.out)
    batches = resident(own["infobridge"], options.batches)
    counted = operations(own["joint"], batches)
    found = Found(pairing, str(variant), config.batch_size, counted, *measure_steps(own, batches, options))
    each = statistics.median(found.infobridge)
    if torch.cuda.is_available():
        found.memory = torch.cuda.max_memory_allocated()
    yield found
    if "profile" in options.parts and torch.cuda.is_available():
        print(f"\nprofile of {pairing}, {variant}")
        keep = options.traces / f"{pairing}-{variant}.json" if options.traces is not None else None
        print("\n".join(profile(own["infobridge"], cycle(batches), 4, keep).lines(options.top, 1e3 * each)))
        places = waits(own["infobridge"], own["infobridge"].loader)
        print("  lines that make the host wait: " + (", ".join(f"{p} x{n}" for p, n in places.items()) or "none"))
        yield found
    if "fed" in options.parts:
        turn = measure_fed(own["infobridge"], each, options)
        found.fed, found.waiting = turn.each, turn.waiting / turn.seconds
        yield found


def measure_all(options: argparse.Namespace) -> int:
    """Every pairing and variant, the table last; a variant that fails is told and left out. Returns the exit code."""
    begin()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
    torch.backends.cudnn.benchmark = options.autotune
    peak = product_rate(device, torch.bfloat16, options.peak_size, rounds=20)
    sheet = datasheet(name)
    told = "unknown" if sheet is None else f"{sheet / 1e12:.0f}"
    print(f"{name}, torch {torch.__version__}: bf16 peak measured {peak / 1e12:.1f} TFLOP/s, datasheet {told}")
    print(f"{os.cpu_count()} processors, {options.workers} workers, batch {options.batch}", flush=True)
    found: list[Found] = []
    failed: list[str] = []
    for pairing in options.pairings:
        with tempfile.TemporaryDirectory() as folder:
            config = configured(PAIRINGS[pairing], options.data, Path(folder), options.small)
            config = replace(config, batch_size=options.batch, workers=options.workers, seed=options.seed)
            data = config, prepared(config, options.epoch * options.batch)
            for variant in options.variants:
                began = time.perf_counter()
                try:
                    for one in measure((pairing, variant), data, options):
                        found = [*(other for other in found if other is not one), one]
                        _write(options.json, name, peak, found)
                except Exception:  # the others are still worth their time on the card
                    failed.append(f"{pairing} {variant}")
                    traceback.print_exc()
                print(f"{pairing} {variant}: {time.perf_counter() - began:.0f} s", flush=True)
                gc.collect()
                torch._dynamo.reset()
                torch.cuda.empty_cache()
    print("\n| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|")
    print("\n".join(one.row(peak, sheet) for one in found))
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


def _write(path: Path | None, card: str, peak: float, found: list[Found]) -> None:
    """What was found until now, all rounds of it."""
    if path is not None:
        content = {"card": card, "torch": torch.__version__, "peak": peak, "found": [asdict(one) for one in found]}
        path.write_text(json.dumps(content, indent=1), "utf-8")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="copy a part of the real data")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--samples", type=int, default=256, help="training rows of each set")
    measuring = commands.add_parser("measure", help="train, time and print")
    for command in (packing, measuring):
        default = Path(os.environ.get("INFOBRIDGE_DATA", "../shared/data"))
        command.add_argument("--data", type=Path, default=default, help="folder of the real sets")
    add = measuring.add_argument
    add("--pairings", nargs="+", choices=list(PAIRINGS), default=list(PAIRINGS))
    variants = [Variant("fp32"), Variant("bf16"), Variant("bf16", compiled=True)]
    add("--variants", nargs="+", type=Variant.named, default=variants, help="fp32 tf32 bf16 fp16, +compile")
    add("--parts", nargs="+", choices=PARTS, default=["steps", "fed"], help="steps are always measured")
    add("--json", type=Path, help="file for every round's figures")
    add("--traces", type=Path, help="folder for the profiler's traces")
    add("--seconds", type=float, default=0.3, help="of a turn")
    add("--fed-seconds", type=float, default=4.0)
    add("--steps", type=int, help="of a turn, in place of seconds")
    add("--rounds", type=int, default=5)
    add("--batch", type=int, default=128, help="the paper's: 128")
    add("--batches", type=int, default=4, help="that lie on the card")
    add("--epoch", type=int, default=100, help="batches of an epoch")
    add("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    add("--seed", type=int, default=0)
    add("--top", type=int, default=14, help="kernels of a profile")
    add("--autotune", action="store_true", help="let cuDNN try its algorithms")
    add("--peak-size", type=int, default=SIZE, help="of the matrices that the peak is measured with")
    add("--small", action="store_true", help="small inputs and networks: checks the program on a processor")
    return parser


def main(given: list[str] | None = None) -> int:
    """Pack or measure; returns the exit code."""
    options = arguments().parse_args(given)
    if options.command == "measure":
        return measure_all(options)
    for name, size in pack(options.data, options.folder, options.samples).items():
        print(f"{name}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
