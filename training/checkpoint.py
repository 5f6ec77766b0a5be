"""A run's folder: configuration first, weights and state as they come, run.json last."""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from bundle.checking import one_line
from bundle.errors import ManifestError
from bundle.modalities import MODALITIES, Modality
from training import catalog
from training.config import Config
from training.errors import CheckpointError, ConfigError
from training.model import Classifier, build

FORMAT = 3
CONFIG, RUN, WEIGHTS, BEST, SPLITS = "config.json", "run.json", "model.safetensors", "best.safetensors", "splits.csv"
DATA, HISTORY, STATE, TOKENIZER = "data.json", "history.json", "state", "tokenizer.json"
SCORES = "scores.safetensors"
STARTING = "starting.json"
"""The configuration of a run whose data are being read; config.json takes its place."""
TRACKING, CURVES = "tracking.json", "tensorboard"
EVENTS = "events.out.tfevents.*"
REPORT, PAGE, FIGURES, MEASURED = "report", "report.html", "figures", "measured.json"
LONGEST = 200
"""Characters of a library's error that a message repeats."""
PACKAGES = ("infobridge", "torch", "transformers", "accelerate", "numpy", "av", "soundfile", "pillow", "tokenizers")


@dataclass(frozen=True)
class Checkpoint:
    """A finished run."""

    folder: Path
    config: Config
    labels: tuple[str, ...]
    modalities: dict[str, Modality]
    metrics: dict[str, Any]
    architectures: dict[str, Any]
    provenance: dict[str, Any]
    verdict: tuple[str, ...] = ()
    """On the test split, in plain words; none of a run that was trained before there were verdicts."""

    def model(self) -> Classifier:
        """The trained classifier, in evaluation mode on the CPU.

        Raises:
            CheckpointError: the description or the weights are damaged or of another model.
        """
        try:
            model = build(self.config, self.modalities, len(self.labels), self.architectures)
        except (ConfigError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.folder / RUN} describes no model: {one_line(error)[:LONGEST]}") from None
        load_weights(model, self.folder / WEIGHTS)
        return model.eval()


def write_json(path: Path, content: Any) -> None:
    """Write JSON aside, then rename."""
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(aside, path)


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a module's weights as safetensors, aside and renamed."""
    aside = path.with_suffix(".part")
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}, aside)
    os.replace(aside, path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Read weights into a module of the same shape.

    Raises:
        CheckpointError: they are damaged or of another model.
    """
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:  # safetensors raises its own type
        raise CheckpointError(f"{path}: expected weights of this model, {one_line(error)[:LONGEST]}") from None


STATES = (f"{STATE}.json", f"{STATE}-*.safetensors", "*.part")
REPORTS = tuple(f"{REPORT}/{name}" for name in (PAGE, MEASURED, f"{FIGURES}/*.png", "*.part"))
TRACKED = (f"{CURVES}/**/{EVENTS}", f"{CURVES}/**/hparams.yml")
CLEARED = (RUN, CONFIG, DATA, HISTORY, SPLITS, SCORES, WEIGHTS, BEST, TOKENIZER, *STATES, *REPORTS)
OWN = (*CLEARED, STARTING, TRACKING, *TRACKED)
"""Patterns of the files that a run writes, and of its report."""


def clear(folder: Path, begun: bool = False) -> None:
    """Remove what an earlier run wrote and its report, and nothing else that may lie in the folder.

    Args:
        folder: of the run.
        begun: leave what a new run writes before it removes the earlier one.
    """
    _remove(folder, CLEARED if begun else OWN, REPORT, *(() if begun else (CURVES,)))


def clear_curves(folder: Path) -> None:
    """Remove what TensorBoard was told, and by which names other trackers know the run."""
    _remove(folder, (*TRACKED, TRACKING), CURVES)


def _remove(folder: Path, patterns: Iterable[str], *within: str) -> None:
    """Remove files, and of the folders `within` this one those that are empty then."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    for name in within:
        for emptied in sorted((folder / name, *(folder / name).rglob("*/")), reverse=True):
            with suppress(OSError):  # absent, no folder, or holds other files
                emptied.rmdir()


def foreign(folder: Path) -> list[str]:
    """Names of what lies in the folder and is not of a run, where no run is there to be told from it."""
    if (folder / CONFIG).exists():
        return []
    own = {path.relative_to(folder).parts[0] for pattern in OWN for path in folder.glob(pattern)}
    return sorted(path.name for path in folder.iterdir() if path.name not in (*own, ".cache", "wandb"))


def describe(modalities: Mapping[str, Modality]) -> dict[str, Any]:
    """Modalities as JSON values; `restore` reads them back."""
    return {
        name: {"modality": modality.name, "parameters": modality.parameters()} for name, modality in modalities.items()
    }


def versions() -> dict[str, str]:
    """What produced a run."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def finish(
    folder: Path, config: Config, labels: tuple[str, ...], modalities: dict[str, Modality], facts: dict[str, Any]
) -> None:
    """Write run.json, whose existence says that the run is complete; `facts` hold metrics and provenance."""
    for modality in modalities.values():
        for name, content in modality.files().items():
            (folder / name).write_bytes(content)
    described = {"labels": list(labels), "modalities": describe(modalities), "versions": versions()}
    write_json(folder / RUN, {"format": FORMAT, **described, "config": asdict(config), **facts})


def read_config(content: Mapping[str, Any]) -> Config:
    """A configuration from its JSON, every field checked.

    Raises:
        CheckpointError: a field that is unknown, missing or of another type.
    """
    try:
        values = dict(content)
        _check_names(Config, values)
        values["dataset_options"] = _options("datasets", values["dataset"], values["dataset_options"])
        values["method_options"] = _options("methods", values["method"], values["method_options"])
        for name in MODALITIES:
            chosen = dict(values[name])
            _check_names(type(getattr(Config(), name)), chosen)
            chosen["encoder_options"] = _options("encoders", chosen["encoder"], chosen["encoder_options"])
            kind: Any = next(field.type for field in fields(Config) if field.name == name)
            values[name] = TypeAdapter(kind).validate_python(chosen)
        return TypeAdapter(Config).validate_python(values)
    except (ValidationError, KeyError, TypeError, ValueError, ConfigError) as error:
        reason = one_line(error)[:LONGEST]
        raise CheckpointError(f"the stored configuration cannot be read: {reason}") from None


def _options(kind: catalog.Kind, name: str, content: Any) -> Any:
    options = catalog.load(kind, name).Options
    _check_names(options, content or {}, complete=False)
    return TypeAdapter(options).validate_python(content or {})


def _check_names(kind: Any, values: Mapping[str, Any], complete: bool = True) -> None:
    known = {entry.name for entry in fields(kind)}
    unknown, absent = sorted(set(values) - known), sorted(known - set(values))
    if unknown or (absent and complete):
        raise ConfigError(f"{kind.__name__}: unknown {', '.join(unknown) or 'none'}; missing {', '.join(absent)}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a run folder.

    Raises:
        CheckpointError: absent or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: expected {path.name}, found none") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object")
    return content


def read(folder: Path) -> Checkpoint:
    """Read a finished run.

    Raises:
        CheckpointError: unfinished, damaged, or of another format.
    """
    if not (folder / RUN).exists():
        raise CheckpointError(f"{folder} is not a finished run: it has no {RUN}")
    content = read_json(folder / RUN)
    if content.get("format") != FORMAT:
        raise CheckpointError(f"{folder}: run format {content.get('format')!r}, this program reads {FORMAT}")
    try:
        modalities = {
            name: MODALITIES[entry["modality"]].restore(entry["parameters"], folder)
            for name, entry in content["modalities"].items()
        }
        provenance = {key: content[key] for key in ("versions", "data", "best_epoch")}
        labels = tuple(content["labels"])
        config, metrics, architectures = read_config(content["config"]), content["metrics"], content["architectures"]
        verdict = tuple(map(str, content.get("verdict", {}).get("sentences", ())))
        return Checkpoint(folder, config, labels, modalities, metrics, architectures, provenance, verdict)
    except KeyError as error:
        raise CheckpointError(f"{folder / RUN}: {error} is missing or unknown") from None
    except (AttributeError, TypeError, ManifestError) as error:
        raise CheckpointError(f"{folder / RUN} cannot be read: {one_line(error)[:LONGEST]}") from None
