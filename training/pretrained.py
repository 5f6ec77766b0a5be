"""Pretrained weights in the transformers format, from a local folder or the hub."""

import re
from pathlib import Path
from typing import Any

from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from training.errors import ConfigError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
EXPECTED = (
    "expected a folder in the transformers format (config.json, model.safetensors, and tokenizer.json for text), or a "
    "hub id with the network reachable; without the option, training starts from random weights"
)


def load_pretrained(loader: Any, name: str) -> Any:
    """`loader.from_pretrained(name)`, with one clear error when it cannot be had.

    Args:
        loader: a transformers class.
        name: hub id, or folder holding config.json and weights.

    Raises:
        ConfigError: neither a usable folder nor reachable on the hub.
    """
    if not Path(name).is_dir() and not HUB_ID.fullmatch(name):
        raise ConfigError(f"pretrained: found no folder {name!r}; {EXPECTED}")
    try:
        return _load(loader, name)
    except Exception as error:  # transformers raises many types, from OSError to KeyError
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        kind = "the folder" if Path(name).is_dir() else "the hub id or folder"
        raise ConfigError(f"pretrained: {kind} {name!r} gives no {loader.__name__} ({first}); {EXPECTED}") from None


def _load(loader: Any, name: str) -> Any:
    """As `from_pretrained`, but weights that are not there are an error, not random numbers and a warning."""
    if not issubclass(loader, PreTrainedModel) and loader is not AutoModel:
        return loader.from_pretrained(name)
    stored = PreTrainedConfig.get_config_dict(name)[0].get("model_type")
    wanted = getattr(getattr(loader, "config_class", None), "model_type", stored)
    if stored != wanted:
        raise ValueError(f"it holds a model of type {stored!r}, expected {wanted!r}")
    model, report = loader.from_pretrained(name, output_loading_info=True)
    absent = sorted(key for key in report["missing_keys"] if "pooler" not in key)  # the pooler is not used
    if absent:
        raise ValueError(f"its weights lack {absent[0]} and {len(absent) - 1} more")
    return model
