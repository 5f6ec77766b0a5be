"""Answers and models as a person reads them on a terminal."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from clients.answer import Answer, Model


def prediction(answer: Answer) -> Group:
    """The classes, what each modality says alone, what adds up to the answer, and what is to be noted of it."""
    table = Table(title=Text(f"{answer.model}: {answer.timing.total:.0f} ms"), title_justify="left")
    for heading in ("", "class", "probability"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "probability" else "left")
    best = answer.predictions[0]
    for entry in answer.predictions:
        table.add_row("fused" if entry is best else "", Text(entry.label), f"{entry.probability:.3f}")
    table.add_section()
    for name, said in answer.modalities.items():
        table.add_row(Text(f"{name} alone"), Text(said.label), Text(f"{said.confidence:.3f} for {best.label}"))
    table.add_section()
    table.add_row("without any", Text(best.label), f"{answer.baseline:.3f}")
    for name, said in answer.modalities.items():
        table.add_row(Text(f"{name} adds"), "", f"{said.contribution:+.3f}")
    return Group(table, *map(Text, notes(answer)))


def notes(answer: Answer) -> list[str]:
    """What whoever reads the answer must not miss, a line each."""
    best = answer.predictions[0]
    found = []
    if answer.abstain:
        found.append(f"abstains: {best.probability:.3f} for {best.label} is less than was asked for; ask a person")
    for name in answer.unusual:
        shift = answer.modalities[name].shift
        far = "" if shift is None else f" ({shift:.1f} times the usual limit)"
        found.append(f"unusual: {name} is unlike the training data{far}; do not rely on these numbers")
    if answer.disagreement:
        said = ", ".join(f"{name} {own.label}" for name, own in answer.modalities.items())
        found.append(f"disagreement: alone they would choose differently ({said})")
    if answer.missing:
        found.append(f"missing: {', '.join(answer.missing)}; the answer does without")
    return found


def models(known: Sequence[Model]) -> Table:
    """One row for each model."""
    table = Table()
    for heading in ("model", "inputs", "classes", "accuracy expected", "runs on"):
        table.add_column(heading, overflow="fold")
    for model in known:
        inputs = ", ".join(entry.name for entry in model.inputs)
        table.add_row(*map(Text, (model.name, inputs, ", ".join(model.labels), _expected(model), model.provider)))
    return table


def _expected(model: Model) -> str:
    """Of the most inputs first; nothing at all says nothing about the sample and is left out."""
    known = {name: entry for name, entry in model.expectations.items() if name}
    ordered = sorted(known.items(), key=lambda pair: -pair[0].count("+"))
    return "\n".join(f"{name} {entry.accuracy:.3f}" for name, entry in ordered) or "not stated"
