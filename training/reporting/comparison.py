"""Fig. 3 of InfoBridge from several runs: the distance between the modalities against α, over seeds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean as mean

from accelerate import Accelerator

from training.distance import Distance
from training.errors import ConfigError
from training.progress import console
from training.reporting import words
from training.reporting.chart_modalities import Pair, deviation, draw_distance_by_weight
from training.reporting.from_features import TITLES, comparable_of, distances
from training.reporting.page import Page, Section, Table
from training.reporting.run import Finished, facts

FREE = ("out", "seed", "cache", "device", "workers", "by", "save_minutes", "tracker")
"""Options that runs of one comparison may differ in, beside α."""
ByWeight = dict[Pair, dict[float, list[Distance]]]
"""By pair of modalities and α, the distances of the seeds."""


def check(runs: Sequence[Finished]) -> None:
    """Refuse runs that differ in anything but α, the seed and where they were made.

    Raises:
        ConfigError: names the first difference.
    """
    first = runs[0].checkpoint
    for run in runs:
        if not hasattr(run.checkpoint.config.method_options, "alpha"):
            raise ConfigError(
                f"{run.checkpoint.folder}: expected runs of a method with α, such as infobridge, found one of "
                f"{run.checkpoint.config.method}"
            )
        different = [name for name, value in _fixed(run).items() if value != _fixed(runs[0]).get(name)]
        if different:
            raise ConfigError(
                f"expected runs that differ in α and seed alone, found {first.folder} and {run.checkpoint.folder} "
                f"with different {different[0].replace('_', ' ')}"
            )
    seen: dict[tuple[float, int], Finished] = {}
    for run in runs:
        key = (weight(run), run.checkpoint.config.seed)
        if key in seen:
            one, other = seen[key].checkpoint.folder, run.checkpoint.folder
            raise ConfigError(f"expected each α and seed once, found α {key[0]:g}, seed {key[1]} in {one} and {other}")
        seen[key] = run


def weight(run: Finished) -> float:
    """The run's α."""
    return float(run.checkpoint.config.method_options.alpha)


def compare(runs: Sequence[Finished], accelerator: Accelerator) -> Page:
    """The report of several runs.

    Raises:
        TrainingError: runs that cannot be compared, or whose data was not found.
    """
    check(runs)
    found: dict[Pair, dict[float, list[Distance]]] = defaultdict(lambda: defaultdict(list))
    rows, meaning = [], ""
    for run in sorted(runs, key=lambda run: (weight(run), run.checkpoint.config.seed)):
        console.print(f"Measuring {run.checkpoint.folder}")
        vectors = comparable_of(run, accelerator)
        meaning = vectors.meaning
        for pair, one in distances(vectors).items():
            found[pair][weight(run)].append(one)
            start = (f"{weight(run):g}", str(run.checkpoint.config.seed), " – ".join(pair))
            rows.append((*start, f"{one.overall:.4f}", f"{one.within:.4f}", f"{one.bandwidth:.3f}"))
    return Page(
        "Distance between the modalities against α",
        [*_facts(runs), ("Runs", ", ".join(str(run.checkpoint.folder) for run in runs))],
        [_section(found, meaning, Table(("α", "seed", "modalities", *_COLUMNS, "kernel width"), rows))],
        metrics=_summary(found),
    )


_COLUMNS = ("all samples", "within class")


def _section(found: Mapping[Pair, Mapping[float, Sequence[Distance]]], meaning: str, table: Table) -> Section:
    said = "; ".join(
        f"{' – '.join(pair)} at α {alpha:g}: {mean(one.overall for one in seeds):.3f} over all samples, "
        f"{mean(one.within for one in seeds):.3f} within class"
        for pair, by_weight in found.items()
        for alpha, seeds in by_weight.items()
    )
    return Section(
        "distance-by-alpha",
        TITLES["distance"],
        words.VECTORS.format(meaning=meaning) + words.MEASURE + words.MANY_WEIGHTS,
        lambda theme: draw_distance_by_weight(found, theme),
        alt=f"Squared Gaussian-kernel distance against α. {said}.",
        table=table,
    )


def _summary(found: Mapping[Pair, Mapping[float, Sequence[Distance]]]) -> Table:
    """Mean and deviation over the seeds."""
    rows = []
    for pair, by_weight in found.items():
        for alpha, seeds in by_weight.items():
            values = ([one.overall for one in seeds], [one.within for one in seeds])
            shown = (f"{mean(one):.4f}" + (f" ± {deviation(one):.4f}" if len(one) > 1 else "") for one in values)
            rows.append((f"{alpha:g}", " – ".join(pair), *shown, str(len(seeds))))
    return Table(("α", "modalities", *_COLUMNS, "seeds"), rows)


def _facts(runs: Sequence[Finished]) -> list[tuple[str, str]]:
    """Those of the first run that hold for all."""
    shared = [fact for fact in facts(runs[0]) if all(fact in facts(run) for run in runs)]
    return [*shared, ("Method", runs[0].checkpoint.config.method)]


def _fixed(run: Finished) -> dict[str, object]:
    """What all runs of a comparison must share, by what to call it."""
    config = asdict(run.checkpoint.config)
    options = config.pop("method_options")
    rest = {f"method.{name}": value for name, value in options.items() if name != "alpha"}
    return {
        "classes": run.checkpoint.labels,
        **{name: value for name, value in config.items() if name not in FREE},
        **rest,
    }
