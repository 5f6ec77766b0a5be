"""model_card.md: what a person should know of a bundle, from measured facts only."""

from typing import Any

from training.checkpoint import Checkpoint

KEPT = {"best": "the best on the validation split", "last": "the last"}


def card(name: str, run: Checkpoint, difference: float) -> str:
    """The text of the card.

    Args:
        name: of the bundle.
        run: the finished training.
        difference: largest difference of a probability between torch and the graph.
    """
    data = run.provenance["data"]
    counts = ", ".join(f"{count} {split}" for split, count in data["samples"].items())
    rows = [_row("test", run.metrics["test"]), _row("validation", run.metrics["validation"])]
    own = "".join(f" {modality} alone |" for modality in run.modalities)
    rules = "|---" * (4 + len(run.modalities)) + "|"
    warning = _warning(run)
    return f"""# {name}

A classifier of {" + ".join(run.modalities)} into {len(run.labels)} classes: {", ".join(run.labels)}.
{warning}
- Method: {run.config.method}; dataset: {run.config.dataset}; seed {run.config.seed}.
- Weights of epoch {run.provenance["best_epoch"]} of {run.config.epochs}: {KEPT[run.config.keep]}.
- Data: {counts}; {data["groups"]} groups, none in two splits.
- The graph differs from the trained model by at most {difference:.1e} in any probability.
- Probabilities are not calibrated.

| split | samples | accuracy | macro-F1 |{own}
{rules}
{chr(10).join(rows)}

A modality's own accuracy is that of its share of the logits, without the others. How it was made, in full: `provenance`
in manifest.json.
"""


def _row(split: str, found: dict[str, Any]) -> str:
    own = "".join(f" {value:.3f} |" for value in found["modality_accuracy"].values())
    return f"| {split} | {found['samples']} | {found['accuracy']:.3f} | {found['macro_f1']:.3f} |{own}"


def _warning(run: Checkpoint) -> str:
    if run.config.dataset == "demo":
        return "\nTrained on generated data: it shows how the programs work and knows nothing of the world.\n"
    return ""
