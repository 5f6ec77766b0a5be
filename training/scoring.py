"""A run's outputs for every validation and test sample, kept so that runs can be compared sample by sample."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bundle.checking import one_line
from bundle.coalitions import JOIN
from training.errors import CheckpointError
from training.evaluate import Scores

FIELDS = ("labels", "samples", "logits", "coalitions")
GROUPS = "groups"
ORDER = "modalities"
"""In the file's metadata: their names, in the run's order."""
BY_MODALITY = {"share:": "shares", "shift:": "shifts", "deletion:": "deletions"}
"""Prefixes of the arrays' names, and the fields they belong to."""


def save(scores: Mapping[str, Scores], path: Path) -> None:
    """Write the scores of each split as safetensors, aside and renamed."""
    arrays: dict[str, NDArray[Any]] = {}
    for split, found in scores.items():
        arrays |= {f"{split}/{name}": getattr(found, name) for name in FIELDS}
        arrays |= {f"{split}/{GROUPS}": found.groups} if found.groups is not None else {}
        for prefix, kind in BY_MODALITY.items():
            arrays |= {f"{split}/{prefix}{name}": values for name, values in getattr(found, kind).items()}
    aside = path.with_suffix(".part")
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, aside, metadata={ORDER: JOIN.join(next(iter(scores.values())).shares)})
    os.replace(aside, path)


def load(path: Path) -> dict[str, Scores]:
    """Scores by split; modalities in the order in which they were saved, which is that of the coalitions.

    Raises:
        CheckpointError: absent or damaged.
    """
    try:
        with safe_open(path, framework="np") as file:
            order = (file.metadata() or {})[ORDER].split(JOIN)
        arrays = load_file(path)
        splits: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            split, part = name.split("/", 1)
            splits.setdefault(split, {})[part] = array
        return {split: _scores(parts, order) for split, parts in splits.items()}
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: expected {path.name}, found none; train the run again") from None
    except Exception as error:  # safetensors raises its own type
        raise CheckpointError(f"{path}: expected a run's scores, {one_line(error)}") from None


def _scores(parts: dict[str, NDArray[Any]], order: list[str]) -> Scores:
    by_modality: dict[str, Any] = {
        kind: {name: parts[prefix + name] for name in order if prefix + name in parts}
        for prefix, kind in BY_MODALITY.items()
    }
    whole: dict[str, Any] = {name: parts[name] for name in FIELDS}
    return Scores(**whole, **by_modality, groups=parts.get(GROUPS))
