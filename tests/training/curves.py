"""Reads what TensorBoard was told, as TensorBoard does."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.checkpoint import CURVES
from training.tracking import PROJECT


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """By name, the points: epoch and value."""
    found = EventAccumulator(str(run / CURVES / PROJECT))
    found.Reload()
    return {name: [(event.step, event.value) for event in found.Scalars(name)] for name in found.Tags()["scalars"]}
