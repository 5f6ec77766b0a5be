"""Data, split and accuracy: what was trained on what, and how often it is right."""

from typing import Any

from export.acceptance import Acceptance
from export.calibrate import Measured
from export.cards.markdown import cell, figure, section, table
from training.checkpoint import Checkpoint
from training.evaluate import Scores
from training.judging import judge
from training.measures.intervals import accuracy_interval
from training.measures.macro_f1 import macro_f1_interval
from training.measures.outputs import independent_groups

BITS = {"int8": "eight", "fp16": "sixteen", "bf16": "sixteen"}
KEPT = {"best": "the best on the validation split", "last": "the last"}


def data(run: Checkpoint, difference: float, quantized: Acceptance | None = None) -> str:
    """What was trained, as a list.

    Args:
        run: the finished training.
        difference: largest difference of a probability between torch and the graph.
        quantized: what fewer than 32 bits cost, where the graph computes in them.
    """
    facts = run.provenance["data"]
    counts = ", ".join(f"{count} {split}" for split, count in facts["samples"].items())
    lines = [
        f"- Method: {run.config.method}; dataset: {run.config.dataset}; seed {run.config.seed}.",
        f"- Weights of epoch {run.provenance['best_epoch']} of {run.config.epochs}: {KEPT[run.config.keep]}.",
        f"- Data: {counts}; {facts['groups']} groups, none in two splits.",
        f"- The graph differs from the trained model by at most {difference:.1e} in any probability.",
    ]
    if quantized is not None:
        lines.append(
            f"- The encoders compute in {BITS[quantized.kind]} bits ({quantized.kind}: {quantized.told}). All other "
            "figures are of this graph, but for what deletions cost and what is told of the training."
        )
    return "\n".join(lines)


def words(run: Checkpoint, measured: Measured) -> str:
    """The verdict on test, in sentences; the single modality that all are held against is the best on validation."""
    found = judge({"val": measured.validation, "test": measured.test}, run.labels, tuple(run.modalities))
    return section("In words", "\n".join(f"- {cell(sentence)}" for sentence in found.sentences))


def accuracy(run: Checkpoint, measured: Measured) -> str:
    """Accuracy and macro-F1 on both splits, fused and of each modality by itself."""
    splits = (("test", measured.test), ("validation", measured.validation))
    head = ("split", "samples", "accuracy", "macro-F1", *(f"{name} alone" for name in run.modalities))
    return section(
        "Accuracy",
        table(head, (_row(name, scores, tuple(run.modalities)) for name, scores in splits)),
        "In brackets: 95 % intervals, over "
        + ("groups." if independent_groups(measured.test) is not None else "samples.")
        + " A modality's own accuracy is that of its share of the logits, without the others. The epoch was chosen on "
        "validation, which therefore flatters.",
    )


def _row(split: str, scores: Scores, modalities: tuple[str, ...]) -> tuple[str, ...]:
    groups, predicted = independent_groups(scores), scores.logits.argmax(axis=1)
    fused = accuracy_interval(predicted == scores.labels, groups)
    alone = (accuracy_interval(scores.shares[name].argmax(axis=1) == scores.labels, groups) for name in modalities)
    macro = macro_f1_interval(scores.labels, predicted, groups)
    return (split, str(len(scores.labels)), figure(fused), figure(macro), *map(figure, alone))


def groups(metrics: dict[str, Any]) -> str:
    """Accuracy by every value of a column, where the training was asked for it; else empty."""
    parts = []
    for column, splits in metrics.get("groups", {}).items():
        found = splits["test"]
        rows = [
            (
                value["value"] + (" (too few to say)" if value["small"] else ""),
                str(value["samples"]),
                f"{value['accuracy']:.3f} ({value['interval'][0]:.3f} to {value['interval'][1]:.3f})",
                f"{value['macro_f1']:.3f}",
            )
            for value in found["values"]
        ]
        parts += [table((column, "samples", "accuracy", "macro-F1"), rows), _worst(found, metrics["test"]["accuracy"])]
    return section("By group, on test", *parts) if parts else ""


def _worst(found: dict[str, Any], accuracy: float) -> str:
    """Which value is worst, and whether chance explains it."""
    [*worst] = (value for value in found["values"] if value["value"] == found["worst"])
    if not worst:
        return ""
    chance = (
        " This may be chance: its interval reaches the accuracy of all." if worst[0]["interval"][1] >= accuracy else ""
    )
    return f"Worst: {cell(found['worst'])}.{chance}"
