"""How much faster towers are in eight bits: a ResNet-18 and a transformer of BERT's size, beside themselves in 32 bits.

    python -m benchmarks.quantize [--batches 1 8] [--rounds 15] [--threads 1]

Weights are random: they say nothing of accuracy, which `python -m export --quantize int8` measures, and all of speed.
Each tower is exported, proved and quantised as an export does it, and both graphs are run in turns on the same inputs.
Prints how many times fp32's throughput int8 has: the median over the rounds, with the quartiles. The goal is 1.5 at
least, and the exit code 1 where it is missed.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from benchmarks.timing import interleaved, milliseconds
from bundle.answer import PRESENT
from bundle.modalities import Image, Modality, Text
from bundle.runtime import onnxruntime
from export.feeds import Feed
from export.graph import Graph, declare
from export.quantize import quantize
from export.to_onnx import to_onnx
from training.config import Config, ImageOptions, TextOptions
from training.encoders.resnet import ResNet
from training.encoders.transformer import Transformer
from training.model import build

GOAL = 1.5
CLASSES, TOKENS, VOCABULARY, SIDE = 10, 64, 30_522, 224
CALIBRATED = 4
"""Batches that show the ranges of activations."""
CONFIG = Config(
    image=ImageOptions(encoder="resnet", encoder_options=ResNet.Options(depth=18)),
    text=TextOptions(encoder_options=Transformer.Options(width=768, layers=12, heads=12)),
)


def towers() -> dict[str, tuple[str, Modality]]:
    """What is measured, by title: the input's name and its preprocessing."""
    words = {str(number): number for number in range(VOCABULARY)}
    tokenizer = Tokenizer(WordLevel({"[PAD]": VOCABULARY, "[UNK]": VOCABULARY + 1, **words}, unk_token="[UNK]"))
    return {
        f"ResNet-18, {SIDE} pixels": ("image", Image(size=SIDE)),
        f"BERT-base, {TOKENS} tokens": ("text", Text(tokenizer=tokenizer.to_str(), max_length=TOKENS)),
    }


def inputs(name: str, modality: Modality, batch: int, seed: int) -> Feed:
    """Arbitrary pixels, or as many arbitrary tokens as there may be."""
    generator = np.random.default_rng(seed)
    if isinstance(modality, Text):
        values = generator.integers(0, VOCABULARY, (batch, TOKENS))
    else:
        values = generator.integers(0, 256, (batch, 3, SIDE, SIDE), dtype=np.uint8)
    return {name: values, PRESENT: np.ones((batch, 1), np.bool_)}


def graphs(name: str, modality: Modality) -> dict[str, bytes]:
    """A classifier of one modality, in 32 bits and in eight."""
    torch.manual_seed(0)
    declaration = declare({name: modality}, CLASSES)
    graph = Graph(build(CONFIG, {name: modality}, CLASSES).eval(), declaration)
    example = inputs(name, modality, 2, 0)
    model = to_onnx(graph, declaration, tuple(torch.from_numpy(example[entry]) for entry in graph.names))
    whole = model.SerializeToString()
    quantized = onnx.load_from_string(whole)
    quantize(quantized, [name], [inputs(name, modality, 2, seed) for seed in range(CALIBRATED)])
    return {"fp32": whole, "int8": quantized.SerializeToString()}


def session(content: bytes, threads: int) -> Any:
    """As the predictor makes it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both towers; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    met = True
    print("| tower | MB fp32, int8 | batch | ms fp32 | ms int8 | times fp32's throughput |\n|---|---|---|---|---|---|")
    for title, (name, modality) in towers().items():
        made = graphs(name, modality)
        sizes = ", ".join(f"{len(content) / 1e6:.0f}" for content in made.values())
        sessions = {kind: session(content, chosen.threads) for kind, content in made.items()}
        for batch in chosen.batches:
            feed = inputs(name, modality, batch, 99)
            found = interleaved({kind: partial(one.run, None, feed) for kind, one in sessions.items()}, chosen.rounds)
            ratios = [one / other for one, other in zip(found["fp32"], found["int8"], strict=True)]
            middle, low, high = np.quantile(ratios, (0.5, 0.25, 0.75))
            met = met and bool(middle >= GOAL)
            times = " | ".join(f"{milliseconds(found[kind]):.0f}" for kind in ("fp32", "int8"))
            told = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            print(f"| {title} | {sizes} | {batch} | {times} | {told} |", flush=True)
    print(f"goal of {GOAL} times: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
