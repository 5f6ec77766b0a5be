"""Any nested training state to safetensors plus JSON and back, without pickle."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bundle.checking import one_line
from training.errors import CheckpointError

TENSOR, PAIRS = "$tensor", "$pairs"


def save(state: Any, path: Path) -> None:
    """Write `state` (dicts, lists, numbers, strings, tensors) to `path`.json and a file of tensors beside it.

    The JSON names its tensor file and is written last, by renaming: a kill at any moment leaves the previous state.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _pack(state, tensors, "")
    name = f"{path.name}-{os.urandom(4).hex()}.safetensors"
    save_file(tensors, path.with_name(name))
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps({"tensors": name, "tree": tree}), encoding="utf-8")
    os.replace(aside, path.with_suffix(".json"))
    for older in path.parent.glob(f"{path.name}-*.safetensors"):  # the previous one, and what a kill left behind
        if older.name != name:
            older.unlink(missing_ok=True)


def load(path: Path) -> Any:
    """Read what `save` wrote.

    Raises:
        CheckpointError: absent or damaged.
    """
    try:
        content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return _unpack(content["tree"], load_file(path.with_name(content["tensors"])))
    except MemoryError:  # nothing is wrong with the state
        raise
    except Exception as error:  # safetensors raises its own type
        reason = one_line(error) or type(error).__name__
        raise CheckpointError(f"no usable training state at {path.with_suffix('.json')}: {reason}") from None


def _pack(value: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {TENSOR: name}
    if isinstance(value, dict):
        return {PAIRS: [[key, _pack(entry, tensors, f"{name}/{key}")] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        return [_pack(entry, tensors, f"{name}/{index}") for index, entry in enumerate(value)]
    return value


def _unpack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if TENSOR in value:
            return tensors[value[TENSOR]]
        return {key: _unpack(entry, tensors) for key, entry in value[PAIRS]}
    if isinstance(value, list):
        return [_unpack(entry, tensors) for entry in value]
    return value
