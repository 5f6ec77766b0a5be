"""Train one classifier: `python -m training.fit`; `--help` says the rest."""

import csv
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from bundle.errors import BundleError
from training import breakdown, catalog, checkpoint, distributed, fitting, folder, scoring, tracking
from training.columns import Chosen, release
from training.command import Command, conflicts, parse, resumed
from training.config import Config
from training.errors import CheckpointError, ConfigError, TrainingError
from training.imbalance import class_weights
from training.judging import judge
from training.loop import Loop, Result, build_parts
from training.measures.micro_auc import micro_auc_of
from training.pairs import SPLITS, Pairs
from training.preparation import Prepared, digest_of
from training.progress import begin, console
from training.saving import NOTHING_SAVED


def prepare(config: Config) -> Prepared:
    """Load, check and decode the whole dataset; nothing is trained on before every row is known to be good.

    The model and the method are built once before anything is decoded, so that options that cannot be are said early.

    Raises:
        TrainingError: options or data that cannot be used.
    """
    tracking.check(config.tracker)
    dataset = catalog.load("datasets", config.dataset)(config.dataset_options)
    pairs: Pairs = dataset.load(config).only(config.modalities)
    release()
    breakdown.check(pairs, config.by)
    console.print(_summary(pairs))
    modalities = fitting.fit(config, pairs)
    build_parts(config, modalities, len(pairs.labels), class_weights(config.class_weights, pairs))
    cache = config.cache if config.cache is not None else config.out.parent / ".cache"
    prepared = Prepared.of(config, pairs, modalities, cache)
    training = pairs.indices("train")
    for name, arrays in prepared.arrays.items():
        modalities[name] = fitting.finish(modalities[name], Chosen(arrays, training[: fitting.MEASURED]))
    return replace(prepared, modalities=modalities)


def fit(config: Config, resume: bool = False) -> Result:
    """Train as `config` says, into the folder `config.out`; unless resumed, an earlier run in it is replaced.

    A kill at any moment leaves what a resumption needs: until the data are read and an earlier run is removed, the
    configuration stands in a file of its own, which then becomes config.json.

    Raises:
        TrainingError: options or data that cannot be used, another training in the folder, or one that diverged.
    """
    accelerator = distributed.start(config)
    main_process, many = accelerator.is_main_process, accelerator.num_processes
    console.print(f"{many} process{'es' if many > 1 else ''} on {accelerator.device.type}")
    if not main_process:
        return _train(config, resume, main_process)
    config.out.mkdir(parents=True, exist_ok=True)
    with folder.alone(config.out):
        return _train(config, resume, main_process)


def _train(config: Config, resume: bool, main_process: bool) -> Result:
    starting = config.out / checkpoint.STARTING
    if not resume and main_process:
        checkpoint.write_json(starting, asdict(config))
    try:
        with distributed.main_first():
            prepared = prepare(config)
        facts = facts_of(prepared.pairs)
        distributed.check_same(json.dumps([facts, checkpoint.describe(prepared.modalities)], default=str))
        loop = Loop(config, prepared, config.out)
        if resume:
            _check_same(checkpoint.read_json(config.out / checkpoint.DATA), facts)
            loop.resume()
        with loop.tracking.running(loop.history):
            if not resume and main_process:
                _start_folder(config, prepared, facts)
            result = loop.run()
            if main_process:
                _finish(config, loop, prepared, facts, result)
    except (TrainingError, BundleError):
        if not resume and main_process:
            starting.unlink(missing_ok=True)  # if it is still there, nothing is begun and nothing to resume
        raise
    distributed.end()
    return result


def _start_folder(config: Config, prepared: Prepared, facts: dict[str, Any]) -> None:
    checkpoint.clear(config.out, begun=True)
    checkpoint.write_json(config.out / checkpoint.DATA, facts)
    _write_splits(prepared.pairs, config.out / checkpoint.SPLITS)
    os.replace(config.out / checkpoint.STARTING, config.out / checkpoint.CONFIG)


def _finish(config: Config, loop: Loop, prepared: Prepared, facts: dict[str, Any], result: Result) -> None:
    """Write what was found, run.json last, and say it."""
    scoring.save(result.scores, config.out / checkpoint.SCORES)
    metrics: dict[str, Any] = {"validation": asdict(result.validation), "test": asdict(result.test)}
    areas: dict[str, float] = {}
    if catalog.load("datasets", config.dataset).MICRO_AUC:
        for split, name in breakdown.SPLITS.items():
            metrics[name]["micro_auc"] = areas[name] = micro_auc_of(result.scores[split])
    groups = breakdown.breakdowns(prepared.pairs, config.by, result.scores)
    if groups:
        metrics["groups"] = breakdown.facts(groups)
    more = {"metrics": metrics, "best_epoch": result.best_epoch, "data": facts}
    more["architectures"] = loop.model.architectures()
    verdict = judge(result.scores, prepared.pairs.labels, tuple(prepared.modalities))
    more["verdict"] = asdict(verdict)
    loop.tracking.close({"test": asdict(result.test), "kept_epoch": result.best_epoch})
    checkpoint.finish(config.out, config, prepared.pairs.labels, prepared.modalities, more)
    console.print(f"kept epoch {result.best_epoch}; validation {result.validation.line()}")
    console.print(f"test {result.test.line()}")
    if areas:
        console.print("micro-AUC " + ", ".join(f"{name} {area:.3f}" for name, area in areas.items()))
    told = (line for found in groups for line in breakdown.lines(found))
    for line in (
        *told,
        "verdict, on test (the best modality is chosen on validation)",
        *(f"  {sentence}" for sentence in verdict.sentences),
    ):
        console.print(line, markup=False)


def _summary(pairs: Pairs) -> str:
    counts = ", ".join(f"{len(pairs.indices(split))} {split}" for split in SPLITS)
    return f"{' + '.join(pairs.sources)}: {counts}; {len(pairs.labels)} classes: {', '.join(pairs.labels)}"


def facts_of(pairs: Pairs) -> dict[str, Any]:
    """What identifies the data, and what a model card tells of it."""
    counts = {split: len(pairs.indices(split)) for split in SPLITS}
    digest = hashlib.sha256(b"".join(digest_of(sources) for sources in pairs.sources.values()))
    digest.update(pairs.targets.tobytes() + pairs.groups.tobytes() + "|".join(pairs.splits.tolist()).encode())
    found = {"labels": list(pairs.labels), "samples": counts, "groups": len(set(pairs.groups.tolist()))}
    return {**found, "fingerprint": digest.hexdigest()}


def _check_same(stored: dict[str, Any], found: dict[str, Any]) -> None:
    for name in found:
        if stored.get(name) != found[name]:
            raise CheckpointError(
                "the data is not that of the interrupted run, which cannot be resumed on it: expected "
                f"{name} {stored.get(name)}, found {found[name]}; train anew with --overwrite or another --out"
            )


def _write_splits(pairs: Pairs, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("row", "label", "split"))
        for row, target, split in zip(pairs.rows, pairs.targets, pairs.splits, strict=True):
            writer.writerow((row, pairs.labels[target], split))


def _take_folder(command: Command, arguments: Sequence[str]) -> Command | None:
    """Make the command's folder usable, or refuse; returns what is to be done, for a resumption with stored options.

    None where a finished run is to be resumed: there is nothing left to do. A run that had not read its data yet is
    begun once more.
    """
    config, overwrite = command.config, command.overwrite
    out = config.out
    if distributed.number() != 0 and not command.resume:
        return command  # the main process looks
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: expected a folder, found a file")
    if command.resume:
        found = [name for name in (checkpoint.STARTING, checkpoint.CONFIG) if (out / name).exists()]
        if not found:
            raise CheckpointError(f"{out} holds no run to resume; without --resume, one is started there")
        stored = checkpoint.read_config(checkpoint.read_json(out / found[0]))
        changed = conflicts(arguments, config, stored)
        if changed:
            raise ConfigError(
                f"--resume goes on with the options stored in {out}, which differ in {', '.join(changed)}; leave them "
                "out, or train anew with --overwrite"
            )
        begun = found[0] == checkpoint.CONFIG
        if begun and (out / checkpoint.RUN).exists():
            return None
        command = replace(command, config=resumed(arguments, config, stored), resume=begun)
    elif (out / checkpoint.CONFIG).exists() and not overwrite:
        raise ConfigError(f"--out {out} holds a run; choose another --out, --resume it, or --overwrite it")
    elif out.is_dir() and (foreign := checkpoint.foreign(out)):
        raise ConfigError(f"--out {out} holds other files, such as {foreign[0]}; choose another --out")
    if distributed.number() != 0:
        return command
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror or error}") from None
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    begin(speaks=distributed.number() == 0)
    try:
        given = sys.argv[1:] if arguments is None else arguments
        asked = parse(given)
        command = _take_folder(asked, given)
        if command is None:
            console.print(f"the run in {asked.config.out} is finished, there is nothing to resume", markup=False)
            return 0
        config = command.config
        console.print(f"{config.method} on {config.dataset}, seed {config.seed}, into {config.out}")
        distributed.start(config, command.processes)
        if asked.resume and not command.resume and distributed.number() == 0:
            print(f"Resuming {NOTHING_SAVED}", file=sys.stderr)
        fit(config, command.resume)
    except (TrainingError, BundleError) as error:
        distributed.linger()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a share that went away
        distributed.linger()
        print(f"error: {error.strerror or error}: {error.filename or 'no file'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if distributed.number() == 0:
            print("interrupted; --resume goes on from where it was saved last", file=sys.stderr)
        return 130
    except Exception as error:
        gone = distributed.lost(error)
        distributed.linger(always=gone)
        if not gone:
            raise
        print("error: another process ended; what it said, if anything, stands above", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
