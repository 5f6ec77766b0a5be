"""What a bundle's card says of TensorRT, from its manifest alone: it is added when engines are, which may be later."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bundle.manifest import Manifest
from bundle.plan import Plan
from export.cards.markdown import section, table
from export.tensorrt_shapes import EngineOptions

TITLE, NEXT = "TensorRT", "\n## How to reproduce\n"
EXPORT = re.compile(r"^(python -m export RUN --to BUNDLE)(?: --tensorrt.*)?$(?:\npython -m export BUNDLE .*$)*", re.M)
USUAL = EngineOptions()


def with_tensorrt(text: str, manifest: Manifest) -> str:
    """A card that states the graph in eight bits and the engines that a manifest lists, each once, and their commands.

    Args:
        text: of the card, which may state some of them already.
        manifest: of the bundle; one without either leaves the card as it is.
    """
    facts = manifest.provenance.get("export", {}).get("tensorrt_int8")
    if facts is None and not manifest.engines:
        return text
    body, heading, end = text.rpartition(NEXT) if NEXT in text else (text, "", "")
    before = body.split(f"\n## {TITLE}\n")[0].rstrip("\n")
    told = section(TITLE, *_graph(facts), _engines(manifest.engines))
    commands = "\n".join(_commands(facts is not None, manifest.engines))
    return f"{before}\n\n{told}\n{heading}{EXPORT.sub(lambda found: f'{found[1]}{commands}', end)}"


def _graph(facts: Mapping[str, Any] | None) -> Iterator[str]:
    if facts is None:
        return
    one, other = facts["before"], facts["after"]
    yield (
        f"`engines/int8.onnx` is the graph with encoders in eight bits, symmetric around 0, that engines are built of. "
        f"On {facts['samples']} test samples: accuracy {one['accuracy']:.4f} -> {other['accuracy']:.4f}, ECE "
        f"{one['calibration_error']:.4f} -> {other['calibration_error']:.4f}, with the temperatures above; no output "
        f"further than {facts['difference']:.1e} from the trained model's. Ranges are of {facts['calibrated']} "
        "training samples. All other figures are of the graph in 32 bits."
    )


def _engines(engines: tuple[Plan, ...]) -> str:
    if not engines:
        return "There is no engine."
    head = ("engine", "card", "TensorRT", "largest batch", "samples", "difference", "allowed", "ties")
    rows = (
        (
            plan.file,
            f"{plan.card} ({plan.compute_capability})",
            plan.tensorrt,
            str(_batch(plan)[0]),
            str(plan.proof.samples),
            f"{plan.proof.difference:.1e}",
            f"{plan.proof.tolerance:g}",
            str(plan.proof.ties),
        )
        for plan in engines
    )
    return (
        f"{table(head, rows)}\n\nDifference: the largest of a probability, or of a distance as a share of one more "
        "than itself, to the graph in 32 bits, and of int8 to that in eight, measured on the card. Ties: samples with "
        "another label, whose two probabilities are closer than twice what is allowed."
    )


def _commands(symmetric: bool, engines: tuple[Plan, ...]) -> Iterator[str]:
    """What follows the export's command, and the lines after it."""
    ordered = sorted(engines, key=lambda plan: plan.precision != "int8") if symmetric else list(engines)
    if symmetric and not any(plan.precision == "int8" for plan in engines):
        yield " --tensorrt int8 --tensorrt-check"
    elif ordered:
        yield _options(ordered.pop(0))
    yield from (f"python -m export BUNDLE --to OTHER{_options(plan)}" for plan in ordered)


def _options(plan: Plan) -> str:
    most, usual = _batch(plan)
    tokens = [found.usual[1] for found in plan.ranges.values() if found.usual[1:] != found.most[1:]]
    given = (("max-batch", most, USUAL.max_batch), ("usual-batch", usual, USUAL.usual_batch))
    options = [f" --tensorrt-engine.{name} {found}" for name, found, normal in given if found != normal]
    options += [f" --tensorrt-engine.usual-tokens {number}" for number in tokens[:1]]
    return f" --tensorrt {plan.precision}{''.join(options)}"


def _batch(plan: Plan) -> tuple[int, int]:
    """The largest and the usual."""
    found = next(iter(plan.ranges.values()))
    return found.most[0], found.usual[0]
