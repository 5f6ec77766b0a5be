"""Finished runs for tests, without a training: random weights, and statistics as a training leaves them."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel

from bundle.coalitions import membership
from bundle.modalities import Modality, Text
from tests.bundles import LABELS, tiny_modality
from training import checkpoint, scoring
from training.config import (
    AudioOptions,
    Config,
    GenomicsOptions,
    ImageOptions,
    PathologyOptions,
    TextOptions,
    VideoOptions,
)
from training.encoders.convolutional import Convolutional
from training.encoders.resnet import ResNet
from training.encoders.snn import SelfNormalising
from training.encoders.transformer import Transformer
from training.evaluate import Scores, evaluate
from training.model import Classifier, build

SMALL = Convolutional.Options(width=16, blocks=2)
STACKED = Convolutional.Options(width=16, blocks=2, frames="stack")
SMALL_TEXT = Transformer.Options(width=16, layers=1, heads=2)
PLAIN = Config(
    audio=AudioOptions(encoder_options=SMALL),
    video=VideoOptions(encoder_options=SMALL),
    image=ImageOptions(encoder_options=SMALL),
    pathology=PathologyOptions(encoder_options=SMALL),
    text=TextOptions(encoder_options=SMALL_TEXT),
    genomics=GenomicsOptions(encoder_options=SelfNormalising.Options(widths=(16, 8))),
)
RESNET = replace(PLAIN, image=ImageOptions(encoder="resnet", encoder_options=ResNet.Options(depth=18)))
FEW, ENOUGH = (4, 8), (240, 200)
"""Validation and test samples: too few to learn anything of confidence from, and enough."""
SPLITS = {"validation": "val", "test": "test"}
STACKING = replace(PLAIN, video=VideoOptions(encoder_options=STACKED))


def make_run(
    folder: Path,
    modalities: tuple[str, ...],
    config: Config = PLAIN,
    chosen: dict[str, Modality] | None = None,
    counts: tuple[int, int] = FEW,
) -> Path:
    """A finished run over tiny modalities, or the given ones, with scores of so many validation and test samples."""
    config = replace(config, modalities=modalities, out=folder)
    found = chosen or {name: tiny_modality(name) for name in modalities}
    torch.manual_seed(3)
    model = build(config, found, len(LABELS))
    disturb(model)
    settle(model)
    folder.mkdir(parents=True)
    checkpoint.write_json(folder / checkpoint.CONFIG, asdict(config))
    checkpoint.save_weights(model, folder / checkpoint.WEIGHTS)
    found_scores = {"val": scores(modalities, counts[0], 1), "test": scores(modalities, counts[1], 2)}
    scoring.save(found_scores, folder / checkpoint.SCORES)
    samples = {"train": 12, "val": counts[0], "test": counts[1]}
    facts: dict[str, Any] = {
        "metrics": {name: asdict(evaluate(found_scores[split])) for name, split in SPLITS.items()},
        "best_epoch": 2,
        "data": {"labels": list(LABELS), "samples": samples, "groups": sum(samples.values()), "fingerprint": "ab" * 32},
        "architectures": model.architectures(),
    }
    checkpoint.finish(folder, config, LABELS, found, facts)
    return folder


def disturb(model: nn.Module) -> None:
    """Give normalisation layers the statistics and weights of a trained one: at 0 and 1, folding them hides faults."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.normal_(module.bias)
            nn.init.uniform_(module.weight, 0.5, 1.5)


def settle(model: Classifier) -> None:
    """Stand-ins and distances as a training leaves them."""
    labels = torch.arange(60) % len(LABELS)
    for name, encoder in model.encoders.items():
        features = torch.randn(60, int(encoder.width)) + labels[:, None]  # type: ignore[arg-type]
        nn.init.normal_(model.stand_ins.vectors[name])
        model.shifts[name].fit(features, labels)  # type: ignore[operator]


def scores(modalities: tuple[str, ...], count: int, seed: int) -> Scores:
    """What an overconfident classifier gives: each modality's share knows the class a little, and says it loudly."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(len(LABELS), size=count)
    known = np.eye(len(LABELS))[labels]
    shares = {
        name: (3 * (known + generator.normal(0, 0.7 + 0.3 * position, known.shape))).astype(np.float32)
        for position, name in enumerate(modalities)
    }
    nothing = generator.normal(0, 0.1, len(LABELS))
    every = np.stack([shares[name] for name in modalities])
    rows = [np.einsum("m,mnc->nc", members.astype(np.float32), every) + nothing for members in membership(len(every))]
    rows[-1] = every.sum(axis=0)
    together = np.stack(rows, axis=1).astype(np.float32)
    shifts = {name: generator.gamma(9, 1 / 9, count).astype(np.float32) for name in modalities}
    drops = {name: generator.normal(0.1, 0.1, count).astype(np.float32) for name in modalities}
    return Scores(labels, np.arange(count), together[:, -1], shares, together, shifts, drops)


def pretrained(folder: Path, text: Text) -> Config:
    """A tiny BERT and a tiny ResNet in the transformers format, and the configuration that starts from them."""
    torch.manual_seed(4)
    bert = BertConfig(
        vocab_size=text.vocabulary,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=text.max_length,
    )
    BertModel(bert).save_pretrained(folder / "bert")
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(resnet).save_pretrained(folder / "resnet")
    pictures = ResNet.Options(pretrained=str(folder / "resnet"))
    return replace(
        PLAIN,
        audio=AudioOptions(encoder="resnet", encoder_options=pictures),
        image=ImageOptions(encoder="resnet", encoder_options=pictures),
        text=TextOptions(encoder_options=Transformer.Options(pretrained=str(folder / "bert"), pool="first")),
    )
