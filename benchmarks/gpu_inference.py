"""How fast a bundle's graph runs on a GPU: ONNX Runtime beside torch eager, torch.compile and CUDA graphs.

    python -m benchmarks.gpu_inference --out gpu_inference.json      # about 4 minutes on a card with 16 processor cores
    python -m benchmarks.gpu_inference --device cpu --tiny           # whether it runs at all; its figures mean nothing

The paper's three pairings at its encoders, from random weights, which say nothing of accuracy and all of speed: audio
and video (ResNet-18 on a spectrogram of 224 x 224 and on 4 frames), image and text (ViT-B/16 and BERT-base, 64 tokens),
pathology and genomics (ResNet-50 and the SNN); and ViT-B/16 alone. Every variant computes all that a bundle's graph
gives: logits, shares, coalitions and shifts, from uint8 pixels on.

Correct first: each variant's outputs for a batch that it is not timed on, their place spoilt before, are compared with
torch's in 32 bits; what is over the limit of its precision, or not finite, is told and not timed. Then all of them are
timed in turns, one at a time, single runs that are waited for; a time is the median over the rounds of their medians.

fp32 has TF32 off everywhere, tf32 has it on. Times are without the copies from the host and back, and with them (from
and to pinned memory). The rate is that of the model's own products and convolutions, and its share of the peak that a
large product of matrices reached in this run at the same precision; the data sheet's stands beside it.

ORT         ONNX Runtime's CUDA provider with bound inputs and outputs, on the graph as it is exported
fused       attention, layer normalisation and GELU as single nodes, projections apart; `packed`: projections together
NHWC        convolutions in the order of memory that tensor cores want
CUDA graph  launched at once: torch's own, or ONNX Runtime's with every size fixed
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.measure import Measured, Plan, measure
from benchmarks.gpu.pairings import pairings
from benchmarks.gpu.peak import peaks, sheet
from benchmarks.gpu.product import SIZE
from benchmarks.gpu.tables import goals, peak_table, table
from benchmarks.gpu.worker import FAMILIES, Local, Remote
from bundle.runtime import onnxruntime


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small models, for a test")
    parser.add_argument("--pairings", nargs="+", choices=list(pairings(tiny=True)), default=list(pairings(tiny=True)))
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32, 128])
    parser.add_argument(
        "--compiled", nargs="+", type=int, default=[1, 128], help="batches that torch.compile is made for"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turn", type=float, default=0.02, help="seconds of each turn")
    parser.add_argument(
        "--made", type=float, default=120.0, help="seconds after which what is not made is done without"
    )
    parser.add_argument("--limit", type=float, default=230.0, help="seconds after which nothing more is begun")
    parser.add_argument("--out", type=Path, help="where the figures are written as JSON")
    parser.add_argument("--here", action="store_true", help="in one process, for a test")
    chosen = parser.parse_args(arguments)
    if "eager" not in chosen.families:
        parser.error("families: eager is what all others are compared with")
    now = time.monotonic()
    ends = (now + chosen.made, now + chosen.limit)
    plan = Plan(chosen.families, chosen.batches, chosen.compiled, chosen.rounds, chosen.turn, *ends)
    with tempfile.TemporaryDirectory() as folder:

        def start(name: str, family: str) -> Any:
            return (Local if chosen.here else Remote)(name, family, chosen.device, chosen.tiny, Path(folder))

        return report(measure(start, chosen.pairings, plan), chosen)


def report(measured: Iterator[tuple[str, float, list[Measured]]], chosen: argparse.Namespace) -> int:
    """Print everything as it is found, and keep it; returns the exit code."""
    card = torch.cuda.get_device_name() if chosen.device == "cuda" else "processor"
    rates: dict[str, float] = {}
    operations: dict[str, float] = {}
    entries: list[Measured] = []
    titles = {name: pairing.title for name, pairing in pairings(chosen.tiny).items()}
    for name, own, found in measured:
        if not rates:
            rates = peaks(chosen.device, 256 if chosen.tiny else SIZE)
            print(f"{card}, torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}\n")
            print(peak_table(rates, sheet(card)), flush=True)
        operations[name] = own
        entries += found
        print(f"\n## {titles[name]}: {own / 1e9:.2f} GFLOP a sample\n\n{table(found, own, rates)}", flush=True)
        if chosen.out is not None:
            told = {"card": card, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
            measurements = {"peaks": rates, "operations": operations, "variants": [asdict(entry) for entry in entries]}
            chosen.out.write_text(json.dumps(told | measurements, indent=1), "utf-8")
    reached = goals(entries, operations, rates)
    print()
    for sentence, met in reached:
        print(f"{'met' if met else 'missed'}: {sentence}")
    return 0 if all(met for _, met in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
