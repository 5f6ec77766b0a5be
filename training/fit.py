"""Train one classifier: `python -m training.fit`; `--help` says the rest."""

import csv
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from training import catalog, checkpoint, fitting
from training.command import parse
from training.config import Config
from training.errors import CheckpointError, ConfigError, TrainingError
from training.loop import Loop, Result
from training.pairs import SPLITS, Pairs
from training.preparation import Prepared, decode_all
from training.progress import console


def prepare(config: Config) -> Prepared:
    """Load, check and decode the whole dataset; nothing is trained on before every row is known to be good.

    Raises:
        TrainingError: options or data that cannot be used.
    """
    dataset = catalog.load("datasets", config.dataset)(config.dataset_options)
    pairs: Pairs = dataset.load(config).only(config.modalities)
    console.print(_summary(pairs))
    modalities = fitting.fit(config, pairs)
    cache = config.cache if config.cache is not None else config.out.parent / ".cache"
    arrays = decode_all(pairs, modalities, cache)
    training = pairs.indices("train")
    for name in modalities:
        modalities[name] = fitting.finish(
            modalities[name], [arrays[name][index] for index in training[: fitting.MEASURED]]
        )
    return Prepared(pairs, modalities, arrays)


def fit(config: Config, resume: bool = False) -> Result:
    """Train as `config` says, into the folder `config.out`.

    Raises:
        TrainingError: options or data that cannot be used, or a training that diverged.
    """
    prepared = prepare(config)
    config.out.mkdir(parents=True, exist_ok=True)
    facts = _facts(prepared.pairs)
    if resume:
        stored = checkpoint.read_json(config.out / "data.json")
        if stored != facts:
            raise CheckpointError(f"the data is not that of the interrupted run: it had {stored}, found {facts}")
    else:
        checkpoint.write_json(config.out / checkpoint.CONFIG, asdict(config))
        checkpoint.write_json(config.out / "data.json", facts)
        _write_splits(prepared.pairs, config.out / checkpoint.SPLITS)
    loop = Loop(config, prepared, config.out)
    if resume:
        loop.resume()
    result = loop.run()
    metrics = {"validation": asdict(result.validation), "test": asdict(result.test)}
    more = {"metrics": metrics, "best_epoch": result.best_epoch, "data": facts}
    more["architectures"] = loop.model.architectures()
    checkpoint.finish(config.out, config, prepared.pairs.labels, prepared.modalities, more)
    return result


def _summary(pairs: Pairs) -> str:
    counts = ", ".join(f"{len(pairs.indices(split))} {split}" for split in SPLITS)
    return f"{' + '.join(pairs.sources)}: {counts}; {len(pairs.labels)} classes: {', '.join(pairs.labels)}"


def _facts(pairs: Pairs) -> dict[str, Any]:
    """What identifies the data, and what a model card tells of it."""
    counts = {split: len(pairs.indices(split)) for split in SPLITS}
    return {"labels": list(pairs.labels), "samples": counts, "groups": len(set(pairs.groups.tolist()))}


def _write_splits(pairs: Pairs, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("row", "label", "split"))
        for row, target, split in zip(pairs.rows, pairs.targets, pairs.splits, strict=True):
            writer.writerow((row, pairs.labels[target], split))


def _prepare_folder(config: Config, resume: bool, overwrite: bool) -> Config:
    """Make `config.out` usable, or refuse; for a resumption, return the configuration stored there."""
    if resume:
        stored = checkpoint.read_config(checkpoint.read_json(config.out / checkpoint.CONFIG))
        if (config.out / checkpoint.RUN).exists():
            raise CheckpointError(f"the run in {config.out} is finished; nothing to resume")
        return stored
    if config.out.is_file():
        raise ConfigError(f"--out {config.out} is a file")
    if (config.out / checkpoint.CONFIG).exists():
        if not overwrite:
            raise ConfigError(f"{config.out} holds a run; choose another --out, --resume it, or --overwrite it")
        shutil.rmtree(config.out)
    return config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        command = parse(sys.argv[1:] if arguments is None else arguments)
        config = _prepare_folder(command.config, command.resume, command.overwrite)
        console.print(f"{config.method} on {config.dataset}, seed {config.seed}, into {config.out}")
        result = fit(config, command.resume)
    except (TrainingError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; --resume goes on after the last finished epoch", file=sys.stderr)
        return 130
    console.print(f"kept epoch {result.best_epoch}; validation {result.validation.line()}")
    console.print(f"test {result.test.line()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
