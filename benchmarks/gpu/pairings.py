"""What is measured: the paper's three pairings at its encoders, and ViT-B/16 alone; or all of them tiny, for a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor

from bundle.modalities import Audio, Genomics, Image, Modality, Pathology, Text, Video
from export.graph import Declaration, Graph, declare
from training.config import (
    AudioOptions,
    Config,
    GenomicsOptions,
    ImageOptions,
    PathologyOptions,
    TextOptions,
    VideoOptions,
)
from training.encoders.resnet import ResNet
from training.encoders.snn import SelfNormalising
from training.encoders.transformer import Transformer
from training.encoders.vit import VisionTransformer
from training.model import build

GENES = 80
SPREAD = 0.02
"""Standard deviation of what is added to biases and normalisations, which start at 0 and 1: a trained one's are not."""


@dataclass(frozen=True)
class Pairing:
    """A classifier's encoders and the shapes of what goes in."""

    title: str
    config: Config
    modalities: Mapping[str, Modality]
    classes: int

    @property
    def declaration(self) -> Declaration:
        """Of the graph: names, types and shapes."""
        return declare(self.modalities, self.classes)

    def graph(self) -> Graph:
        """The classifier as an export takes it, in evaluation, its weights random and the same each time."""
        torch.manual_seed(0)
        graph = Graph(build(self.config, dict(self.modalities), self.classes), self.declaration)
        with torch.no_grad():
            for values in graph.parameters():
                if values.dim() == 1:
                    values.add_(SPREAD * torch.randn_like(values))
            for name, buffer in graph.named_buffers():
                if "shifts." in name:
                    buffer.copy_(SPREAD * torch.randn_like(buffer))
        return graph.eval().requires_grad_(False)

    def inputs(self, batch: int, seed: int) -> tuple[Tensor, ...]:
        """A batch of arbitrary samples, none of them lacking a modality, in the graph's order."""
        generator = np.random.default_rng(seed)
        found = [_values(modality, batch, generator) for modality in self.modalities.values()]
        return (*map(torch.from_numpy, found), torch.ones(batch, len(self.modalities), dtype=torch.bool))


def pairings(tiny: bool) -> dict[str, Pairing]:
    """By name.

    Args:
        tiny: for a test of the programs: of small pictures, few layers and short texts.
    """
    side, window, hop = (32, 62, 31) if tiny else (224, 446, 215)
    sound = Audio(rate=16_000, seconds=0.06 if tiny else 3.0, window=window, hop=hop, bins=0)
    width, layers, heads = (64, 2, 2) if tiny else (768, 12, 12)
    vit = VisionTransformer.Options(width=width, layers=layers, heads=heads)
    bert = Transformer.Options(width=width, layers=layers, heads=heads, pool="first")
    shallow, deep = ResNet.Options(depth=18), ResNet.Options(depth=18 if tiny else 50)
    genes = SelfNormalising.Options(widths=(64, 48, 32, 32), activation="elu")
    columns, zeros, ones = tuple(f"gene{number}" for number in range(GENES)), (0.0,) * GENES, (1.0,) * GENES
    chosen: dict[str, Any] = {
        "image": ImageOptions(size=side, encoder="vit", encoder_options=vit),
        "text": TextOptions(encoder_options=bert),
        "pathology": PathologyOptions(size=side, encoder="resnet", encoder_options=deep),
        "genomics": GenomicsOptions("snn", genes),
        "video": VideoOptions(frames=4, size=side, encoder="resnet", encoder_options=shallow),
        "audio": AudioOptions(encoder="resnet", encoder_options=shallow),
    }
    config = Config(**chosen)
    made: dict[str, Modality] = {
        "image": Image(size=side),
        "text": Text(_tokenizer(200 if tiny else 30_522), max_length=8 if tiny else 64),
        "pathology": Pathology(size=side),
        "genomics": Genomics(columns, zeros, zeros, ones),
        "video": Video(frames=4, size=side),
        "audio": sound,
    }

    def pairing(title: str, names: tuple[str, ...], classes: int) -> Pairing:
        return Pairing(title, config, {name: made[name] for name in names}, classes)

    return {
        "vit": pairing("ViT-B/16 alone", ("image",), 101),
        "image-text": pairing("image + text (ViT-B/16 + BERT-base)", ("image", "text"), 101),
        "audio-video": pairing("audio + video (ResNet-18 twice)", ("audio", "video"), 6),
        "pathology-genomics": pairing("pathology + genomics (ResNet-50 + SNN)", ("pathology", "genomics"), 3),
    }


def _tokenizer(words: int) -> str:
    vocabulary = {str(number): number for number in range(1, words - 1)}
    return Tokenizer(WordLevel({"[PAD]": 0, **vocabulary, "[UNK]": words - 1}, unk_token="[UNK]")).to_str()


def _values(modality: Modality, batch: int, generator: np.random.Generator) -> Any:
    if isinstance(modality, Text):
        return generator.integers(1, modality.vocabulary, (batch, modality.max_length))
    shape = (batch, *(size for size in modality.shape if size is not None))
    if modality.dtype == "uint8":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.standard_normal(shape, dtype=np.float32)
