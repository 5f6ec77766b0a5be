"""Untrained models for the speed of serving, built once: `python -m benchmarks.serving_models`.

Each is a folder of runs/serving-benchmark with the checkpoint (`run`) and the bundle exported from it (`bundle`). The
preprocessing is fitted to the real training data and the normalisation layers have seen a batch of it; the weights are
random, since speed does not depend on what was learned.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.serving_samples import DATA, FOLDER, MODELS, Load
from bundle.manifest import FILE
from bundle.modalities import Modality
from export.assemble import assemble
from export.calibrate import Wanted
from training import checkpoint, fitting, scoring
from training.config import (
    AudioOptions,
    Config,
    GenomicsOptions,
    ImageOptions,
    PathologyOptions,
    TextOptions,
    VideoOptions,
)
from training.datasets.table import Table
from training.encoders.convolutional import Convolutional
from training.encoders.resnet import ResNet
from training.encoders.snn import SelfNormalising
from training.encoders.transformer import Transformer
from training.evaluate import Scores
from training.fit import facts_of
from training.model import Classifier, build
from training.pairs import Pairs, payload

SEEN = 32
"""Training samples that the normalisation layers see."""
FEW = 8
"""Samples of the scores that stand for those of a training."""
PIXELS = Convolutional.Options(width=64)
SMALL = Config(
    audio=AudioOptions(encoder_options=PIXELS),
    video=VideoOptions(size=64, encoder_options=PIXELS),
    image=ImageOptions(size=64, fit="pad", encoder_options=PIXELS),
    text=TextOptions(encoder_options=Transformer.Options()),
    pathology=PathologyOptions(size=64, encoder_options=PIXELS),
    genomics=GenomicsOptions(encoder_options=SelfNormalising.Options()),
)
BASE = Transformer.Options(width=768, layers=12, heads=12)
"""As large as BERT-base."""
LARGE = replace(
    SMALL,
    image=ImageOptions(size=224, fit="pad", encoder="resnet", encoder_options=ResNet.Options(depth=18)),
    text=TextOptions(max_length=64, encoder_options=BASE),
)
SIZES = {"small": SMALL, "large": LARGE}


@dataclass(frozen=True)
class Built:
    """Where a model lies."""

    run: Path
    bundle: Path


def build_model(load: Load, folder: Path, data: Path = DATA) -> Built:
    """A checkpoint and its bundle, made unless they are there.

    Raises:
        TrainingError, ExportError: the data cannot be read, or a proof of the export failed.
    """
    built = Built(folder / load.name / "run", folder / load.name / "bundle")
    if (built.bundle / FILE).exists():
        return built
    shutil.rmtree(folder / load.name, ignore_errors=True)
    options = Table.Options(data / load.data / "table.csv")
    config = replace(
        SIZES[load.size],
        dataset="table",
        dataset_options=options,
        method="joint",
        modalities=load.modalities,
        out=built.run,
    )
    pairs = Table(options).load(config).only(load.modalities)
    modalities = fitting.fit(config, pairs)
    modalities, batch = _prepare(pairs, modalities)
    torch.manual_seed(config.seed)
    model = build(config, modalities, len(pairs.labels))
    with torch.no_grad():
        model.train()(batch)
    _write(config, pairs, modalities, model)
    assemble(checkpoint.read(built.run), built.bundle, load.name, wanted=Wanted(calibrate=False))
    return built


def _prepare(pairs: Pairs, modalities: dict[str, Modality]) -> tuple[dict[str, Modality], dict[str, torch.Tensor]]:
    """The finished preprocessing, and a batch of training samples."""
    seen = pairs.indices("train")[:SEEN]
    finished, batch = {}, {}
    for name, modality in modalities.items():
        decoded = [modality.decode(payload(pairs.sources[name][index])) for index in seen]
        finished[name] = fitting.finish(modality, decoded)
        batch[name] = torch.from_numpy(modality.stack([finished[name].normalise(array) for array in decoded]))
    return finished, batch


def _write(config: Config, pairs: Pairs, modalities: dict[str, Modality], model: Classifier) -> None:
    config.out.mkdir(parents=True)
    checkpoint.write_json(config.out / checkpoint.CONFIG, asdict(config))
    checkpoint.save_weights(model, config.out / checkpoint.WEIGHTS)
    scoring.save(
        dict.fromkeys(("val", "test"), _scores(tuple(modalities), len(pairs.labels))), config.out / checkpoint.SCORES
    )
    unknown = {"accuracy": 0.0, "macro_f1": 0.0, "modality_accuracy": dict.fromkeys(modalities, 0.0), "samples": 0}
    facts: dict[str, Any] = {
        "metrics": {"validation": unknown, "test": unknown},
        "best_epoch": 0,
        "data": facts_of(pairs),
        "architectures": model.architectures(),
    }
    checkpoint.finish(config.out, config, pairs.labels, modalities, facts)


def _scores(modalities: tuple[str, ...], classes: int) -> Scores:
    """What an export asks for, of a model that nobody trained: too few samples to learn from, all wrong."""
    shares = {name: np.zeros((FEW, classes), np.float32) for name in modalities}
    together = np.zeros((FEW, 1 << len(modalities), classes), np.float32)
    numbers = {name: np.ones(FEW, np.float32) for name in modalities}
    wrong = 1 + np.arange(FEW) % (classes - 1)
    return Scores(wrong, np.arange(FEW), together[:, -1], shares, together, numbers, numbers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    for name in options.models:
        built = build_model(MODELS[name], options.folder)
        size = (built.bundle / "model.onnx").stat().st_size
        print(f"{name}: {built.bundle}, {size / 1e6:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
