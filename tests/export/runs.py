"""Finished runs for tests, without a training: random weights, and statistics as a training leaves them."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel

from bundle.modalities import Modality, Text
from tests.bundles import LABELS, tiny_modality
from training import checkpoint
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
from training.model import build

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
STACKING = replace(PLAIN, video=VideoOptions(encoder_options=STACKED))


def make_run(
    folder: Path, modalities: tuple[str, ...], config: Config = PLAIN, chosen: dict[str, Modality] | None = None
) -> Path:
    """A finished run over tiny modalities, or the given ones."""
    config = replace(config, modalities=modalities, out=folder)
    found = chosen or {name: tiny_modality(name) for name in modalities}
    torch.manual_seed(3)
    model = build(config, found, len(LABELS))
    disturb(model)
    folder.mkdir(parents=True)
    checkpoint.write_json(folder / checkpoint.CONFIG, asdict(config))
    checkpoint.save_weights(model, folder / checkpoint.WEIGHTS)
    facts: dict[str, Any] = {
        "metrics": {"validation": metrics(modalities, 0.5), "test": metrics(modalities, 0.75)},
        "best_epoch": 2,
        "data": {"labels": list(LABELS), "samples": {"train": 12, "val": 4, "test": 8}, "groups": 20},
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


def metrics(modalities: tuple[str, ...], accuracy: float) -> dict[str, Any]:
    own = dict.fromkeys(modalities, accuracy / 2)
    return {"accuracy": accuracy, "macro_f1": accuracy - 0.125, "modality_accuracy": own, "samples": 8}


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
