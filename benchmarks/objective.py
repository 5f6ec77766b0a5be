"""What InfoBridge's objective costs: beside a training step, a plain loop, a library's loss, and as the memory grows.

    python -m benchmarks.objective --plot cost.png      # all four parts; the steps take minutes on a processor
    python -m benchmarks.objective --parts peers memory # seconds
    python -m benchmarks.objective --device cuda

At the paper's shapes unless told otherwise: batch 128, features of width 512, memory 1024, N0 = 5, 6 and 101 classes.
Every figure is a ratio of things timed in turns in the same run, the median of the rounds; every claim is printed with
its limit and whether it held.

step    a whole training step (forward, backward, optimiser) against joint training's, with a ResNet-18 at 224 x 224 for
        each of two modalities. Where a step takes seconds, noise exceeds the difference: the objective's own time as a
        share of joint training's step is printed beside it.
peers   the objective from given features, forward and backward, against the same mathematics one sample at a time
        (`per_sample.py`; both must first give the same value and gradients) and against pytorch-metric-learning's
        CrossBatchMemory with NTXentLoss at equal memory (`cross_batch.py` says how they are made comparable).
memory  the objective from given features with 1024 to 65,536 entries.
queue   operations that a whole step dispatches, forward, backward and optimiser, and those the host waits for: what
        the ratio of two steps becomes on a GPU that is faster than its host. A count, no time.
"""

import argparse
import copy
import itertools
import statistics
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import per_sample, scaling
from benchmarks.cross_batch import INSTALLED, CrossBatch
from benchmarks.operations import count
from benchmarks.step import training_steps
from benchmarks.timing import Task, interleaved, median_ratio, milliseconds, repeated
from benchmarks.workload import NAMES, Shapes, Stream, filled
from training.batch import Batch
from training.methods.infobridge import InfoBridge

PARTS = ("queue", "step", "peers", "memory")
STEP_LIMIT, LOOP_LIMIT = 1.05, 20.0
TURN = 5
"""Runs of the objective in each of its turns beside a slower peer."""
SIZES = tuple(2**power for power in range(10, 17))

Loss = Callable[[dict[str, Tensor], Batch], Tensor]


def forward_and_backward(loss: Loss, parameters: Iterable[nn.Parameter], stream: Stream) -> Task:
    """The cost of a loss from given features: its value, and the gradients of features and parameters."""
    learned = list(parameters)
    prepared = [stream.draw() for _ in range(16)]
    turn = iter(range(10**9))

    def task() -> None:
        features, batch = prepared[next(turn) % len(prepared)]
        torch.autograd.grad(loss(features, batch), [*features.values(), *learned])

    return task


def assert_equal(method: InfoBridge, stream: Stream) -> None:
    """The loop gives the value and the gradients of the objective for one batch of these shapes."""
    features, batch = stream.draw()
    plain = copy.deepcopy(method)
    expected = per_sample.objective(plain, features, batch, per_sample.choose_as_drawn(plain, batch))
    found = method.objective(features, batch)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    one = torch.autograd.grad(found, [*features.values(), *method.critic.parameters()])
    two = torch.autograd.grad(expected, [*features.values(), *plain.critic.parameters()])
    for gradient, other in zip(one, two, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


def verdict(claim: str, figure: float, limit: float, held: bool) -> None:
    """One line for a claim."""
    print(f"  {'holds' if held else 'DOES NOT HOLD'}: {claim}: {figure:.4g} (limit {limit:g})", flush=True)


def measure_queue(shapes: Shapes) -> None:
    """What a step of each method dispatches; the paper's sizes of batch and pictures change nothing of it."""
    steps = training_steps(replace(shapes, batch=8), 32)
    found = {}
    for name, step in steps.items():
        step()  # the first makes the optimiser's state
        found[name] = count(step)
    joint, bridged = found["joint"].whole, found["infobridge"].whole
    print(
        f"\nqueue: joint {joint:,} operations, infobridge {bridged:,}, {bridged - joint:,} more ({bridged / joint:.2f})"
    )
    waits = sum(found["infobridge"].waits.values())
    verdict("none is waited for", waits, 0, waits == 0)


def measure_step(shapes: Shapes, size: int, rounds: int) -> None:
    """A training step against joint training's, and the objective's own time beside it."""
    steps = interleaved({**training_steps(shapes, size)}, rounds)
    stream = Stream(shapes)
    method = filled(shapes, stream)
    own = forward_and_backward(method.objective, method.critic.parameters(), stream)
    alone = interleaved({"objective": own}, 20, warmup=3)["objective"]
    joint, bridged = (steps[name] for name in ("joint", "infobridge"))
    ratio = median_ratio(bridged, joint)
    each = ", ".join(f"{one / other:.3f}" for one, other in zip(bridged, joint, strict=True))
    print(f"  joint {milliseconds(joint):,.0f} ms, infobridge {milliseconds(bridged):,.0f} ms; ratio by round: {each}")
    share = statistics.median(alone) / statistics.median(joint)
    print(f"  the objective alone: {milliseconds(alone):.1f} ms, {share:.3%} of joint training's step")
    verdict("a step costs at most 1.05 of joint training's", ratio, STEP_LIMIT, ratio <= STEP_LIMIT)


def measure_peers(shapes: Shapes, rounds: int) -> None:
    """The objective against a loop over samples and against the library."""
    stream = Stream(shapes)
    method = filled(shapes, stream)
    assert_equal(method, stream)
    plain, generator = copy.deepcopy(method), torch.Generator().manual_seed(0)

    def loop(features: dict[str, Tensor], batch: Batch) -> Tensor:
        return per_sample.objective(plain, features, batch, per_sample.choose_afresh(shapes.negatives, generator))

    own = repeated(forward_and_backward(method.objective, method.critic.parameters(), stream), TURN)
    peers = {"one sample at a time": (forward_and_backward(loop, plain.critic.parameters(), stream), LOOP_LIMIT)}
    if INSTALLED:
        options = method.options
        library = CrossBatch(dict.fromkeys(NAMES, shapes.width), options.dimensions, shapes.memory, options.temperature)
        library.to(shapes.device)
        task = forward_and_backward(library, library.parameters(), stream)
        peers["CrossBatchMemory with NTXentLoss"] = (task, 1.0)
    else:
        print("  CrossBatchMemory with NTXentLoss: skipped, not installed (pip install 'infobridge[benchmarks]')")
    filling = -(-shapes.memory // shapes.batch)  # rounds until the library's memory is full too
    for name, (task, limit) in peers.items():
        times = interleaved({"own": own, "peer": task}, rounds, warmup=filling)
        each = [seconds / TURN for seconds in times["own"]]
        ratio = median_ratio(times["peer"], each)
        print(f"  infobridge {milliseconds(each):.2f} ms, {name} {milliseconds(times['peer']):.2f} ms")
        verdict(f"{name} costs at least {limit:g} times as much", ratio, limit, ratio >= limit)


def measure_memory(shapes: list[Shapes], rounds: int, path: Path | None) -> None:
    """The objective at every size of the memory, for each number of classes; then the plot of all."""
    tasks = {}
    for own, size in itertools.product(shapes, SIZES):
        sized = replace(own, memory=size)
        stream = Stream(sized)
        method = filled(sized, stream)
        task = forward_and_backward(method.objective, method.critic.parameters(), stream)
        tasks[f"{own.classes} {size}"] = task
    times = interleaved(tasks, rounds, warmup=3)
    curves = {}
    for own in shapes:
        costs = {size: milliseconds(times[f"{own.classes} {size}"]) for size in SIZES}
        curves[f"{own.classes} classes"] = costs
        growth = scaling.doublings(costs)
        print(f"\nmemory, {own.classes} classes\n\n| entries | ms | of half the memory's |\n|---|---|---|")
        for size, cost in costs.items():
            print(f"| {size:,} | {cost:.2f} | {f'{growth[size]:.2f}' if size in growth else ''} |")
        fixed, each = scaling.line(costs)
        print(f"\n  line: {fixed:.2f} ms + {1e3 * each:.3f} µs an entry, at most {scaling.distance(costs):.0%} off")
        worst = max(growth.values())
        verdict("doubling the memory at most doubles the cost", worst, scaling.LIMIT, worst <= scaling.LIMIT)
    if path is not None:
        title = f"InfoBridge's objective, batch {shapes[0].batch}, width {shapes[0].width}, on {shapes[0].device}"
        scaling.plot(curves, title, path)
        print(f"\nplot: {path}")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--classes", nargs="+", type=int, default=[6, 101])
    parser.add_argument("--batch", type=int, default=128, help="of the claims: 128")
    parser.add_argument("--size", type=int, default=224, help="of the pictures in a step; of the claims: 224")
    parser.add_argument("--rounds", type=int, default=31, help="of everything but whole steps")
    parser.add_argument("--step-rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="PNG of the cost against the memory")
    options = parser.parse_args()
    shapes = [Shapes(classes, batch=options.batch, device=options.device) for classes in options.classes]
    print(f"{options.device}, {torch.get_num_threads()} threads, batch {options.batch}, torch {torch.__version__}")
    if "queue" in options.parts:
        measure_queue(shapes[0])
    for own in shapes:
        if "peers" in options.parts:
            print(f"\npeers, {own.classes} classes", flush=True)
            measure_peers(own, options.rounds)
    if "memory" in options.parts:
        measure_memory(shapes, options.rounds, options.plot)
    for own in shapes:
        if "step" in options.parts:
            print(f"\nstep at {options.size} x {options.size}, {own.classes} classes", flush=True)
            measure_step(own, options.size, options.step_rounds)


if __name__ == "__main__":
    main()
