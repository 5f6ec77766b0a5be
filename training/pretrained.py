"""Pretrained weights in the transformers format, from a local folder or the hub."""

from pathlib import Path
from typing import Any

from training.errors import ConfigError


def load_pretrained(loader: Any, name: str) -> Any:
    """`loader.from_pretrained(name)`, with one clear error when it cannot be had.

    Args:
        loader: a transformers class.
        name: hub id, or folder holding config.json and weights.

    Raises:
        ConfigError: neither a usable folder nor reachable on the hub.
    """
    try:
        return loader.from_pretrained(name)
    except Exception as error:  # transformers raises many types, from OSError to KeyError
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        kind = "the folder" if Path(name).is_dir() else "the hub id or folder"
        raise ConfigError(
            f"pretrained weights: {kind} {name!r} gives no {loader.__name__} ({first}); expected a folder in the "
            "transformers format (config.json, model.safetensors), or a hub id with the network reachable"
        ) from None
