"""How fast the service is, beside its peers and the predictor itself, all taken in turns on this machine.

    python -m benchmarks.serving            # three quarters of an hour
    python -m benchmarks.serving --quick    # minutes; says only that everything works
    python -m benchmarks.serving --models small --loads image-text --systems infobridge starlette in-process

Every system is started once for each model and put to sleep (SIGSTOP) unless it is its turn, so that its polling costs
the others nothing; each answers the same requests, made of real samples, and every answer is compared with the
in-process predictor's: class and probability. Figures are medians over rounds, ratios are taken within a round; in
brackets is what they were between. Generator, systems and limit share the machine's cores, and all run with
OMP_WAIT_POLICY=PASSIVE: without it, torch's threads spin and starve each other as soon as there are more of them than
cores. CPU is the processor time of a system's processes for each answer, the steadiest figure on a busy machine.

The peers are those of `benchmarks/peers/`; what each is and leaves out is said there. `in-process` is the best of 1, 2,
4 and 8 threads that call the predictor. `triton` needs `python -m scripts.triton install`; it takes tensors, so its
callers decode the samples, in threads of one process whose processor time counts.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.serving_goals import judge, judge_start, spread
from benchmarks.serving_rounds import LIMIT, Measured, Plan, measure, median
from benchmarks.serving_samples import FOLDER, MODELS, Load, choose, read_samples
from benchmarks.systems import OURS, SYSTEMS, environment, started

ALL = (*SYSTEMS, LIMIT)
FOREIGN = {"torch", "transformers"}
HEADER = "| system | connections | requests/s | p50 ms | p99 ms | CPU ms | ours is × it | of the limit | wrong |"


def rows(found: Measured, plan: Plan) -> list[str]:
    """A Markdown table of one model."""
    lines = [HEADER, "|---" + "|---:" * 8 + "|"]
    for connections in plan.connections:
        for name in plan.systems:
            points = found.points[name, connections]
            cpus = [point.cpu for point in points if point.cpu is not None]
            wrong = sum(point.errors + point.mismatches for point in points)
            cells = (
                name,
                str(connections),
                f"{median([point.rate for point in points]):,.1f}",
                f"{median([point.median for point in points]):.1f}",
                f"{median([point.late for point in points]):.1f}",
                f"{median(cpus):.2f}" if cpus else "–",
                spread(found.ratios(OURS, name, connections)) if name != OURS else "–",
                spread(found.ratios(name, LIMIT, connections)) if name != LIMIT else "–",
                str(wrong),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def faults(found: Measured) -> list[str]:
    """What went wrong, by system and connections."""
    listed = {f"{name} at {connections}": points for (name, connections), points in found.points.items()}
    listed |= {f"{OURS} at {kind} arrivals": points for kind, points in found.paced.items()}
    return [
        f"- {name}: {point.mismatches} other answers, errors: {point.refusals or 'none'}"
        for name, points in listed.items()
        for point in points
        if point.errors or point.mismatches
    ]


def start(load: Load, folder: Path, plan: Plan, times: int) -> None:
    """Start ours several times; print how long it took and what it loaded."""
    seconds: list[float] = []
    cpu: list[float] = []
    libraries: set[str] = set()
    for _ in range(times):
        with started(OURS, folder / load.name, "", plan.threads) as running:
            seconds.append(running.started)
            cpu.append(running.cpu())
            libraries |= {Path(path).name for path in running.libraries("torch")}
    for verdict in judge_start(seconds, cpu, libraries, imported()):
        print(verdict.line(), flush=True)


def imported() -> set[str]:
    """Which of the foreign packages the service's module imports."""
    program = f"import sys, serving.service; print(*sys.modules.keys() & {FOREIGN!r})"
    variables = environment("") | {"INFOBRIDGE_BUNDLES": "none"}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def show(load: Load, folder: Path, plan: Plan, starts: int) -> None:
    """Measure and print one model."""
    asked = choose(read_samples(load), folder / load.name / "bundle", plan.threads)
    calls = [one.call() for one in asked]
    size = sum(len(call.body) for call in calls) / len(calls)
    print(f"\n## {load.name}\n\n{len(calls)} real samples, {size / 1e3:.0f} kB each\n", flush=True)
    found = measure(load, folder, calls, plan, lambda line: print(line, file=sys.stderr, flush=True))
    print("\n".join([*rows(found, plan), "", *faults(found)]))
    memory = ", ".join(f"{name} {megabytes:,.0f} MB" for name, megabytes in found.memory.items())
    print(f"memory: {memory}\n", flush=True)
    if OURS in plan.systems:
        for verdict in judge(load.size, found):
            print(verdict.line(), flush=True)
        if starts:
            start(load, folder, plan, starts)


def plan_of(options: argparse.Namespace) -> Plan:
    """What the options ask for."""
    cores = os.cpu_count() or 1
    plan = Plan(tuple(options.systems), tuple(options.connections), options.rounds, options.seconds, threads=cores)
    return replace(plan, rounds=2, seconds=1.5) if options.quick else plan


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=("small", "large"), default=["small", "large"])
    parser.add_argument("--loads", nargs="+", default=["image-text", "audio-video", "pathology-genomics"])
    parser.add_argument("--systems", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--starts", type=int, default=3, help="of the service, for each model")
    parser.add_argument("--quick", action="store_true", help="two rounds of 1.5 s")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the models, built if absent")
    options = parser.parse_args(arguments)
    plan = plan_of(options)
    names = [f"{size}-{load}" for size in options.models for load in options.loads if f"{size}-{load}" in MODELS]
    build = [sys.executable, "-m", "benchmarks.serving_models", "--folder", str(options.folder), "--models", *names]
    subprocess.run(build, env=environment(""), check=True, stdout=sys.stderr)  # apart, so that torch stays out of here
    busy = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load average {busy:.1f} before, {plan.threads} threads for one inference, ", end="")
    print(f"{plan.rounds} rounds of {plan.seconds:g} s, OMP_WAIT_POLICY=PASSIVE", flush=True)
    for name in names:
        show(MODELS[name], options.folder, plan, options.starts)


if __name__ == "__main__":
    main()
