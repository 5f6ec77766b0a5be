"""Pretrained weights in the transformers format, from a local folder or the hub."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import constants
from transformers import AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from bundle.modalities import Text
from training.errors import ConfigError, PretrainedError

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""One of these a tokenizer comes from; without any, the library would make one that knows no word."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
EXPECTED = (
    "expected a folder in the transformers format (config.json, model.safetensors, and tokenizer.json for text), or a "
    "hub id with the network reachable; without the option, training starts from random weights (with None, where a "
    "dataset's recipe sets it)"
)
PATIENCE = 5.0
"""Seconds to wait for the hub's first answer; the library would try for half a minute, with every file anew."""


def load_pretrained(loader: Any, name: str) -> Any:
    """`loader.from_pretrained(name)`, with one clear error when it cannot be had.

    Args:
        loader: a transformers class.
        name: hub id, or folder holding config.json and weights.

    Raises:
        PretrainedError: neither a usable folder nor reachable on the hub.
    """
    is_folder = bool(name) and Path(name).is_dir()
    if not is_folder and not HUB_ID.fullmatch(name):
        raise PretrainedError(f"pretrained: found no folder {name!r}; {EXPECTED}")
    offline = not is_folder and not reachable()
    try:
        return _load(loader, name, offline)
    except Exception as error:  # transformers raises many types, from OSError to KeyError
        if offline and isinstance(error, OSError):
            raise PretrainedError(
                f"pretrained: the hub ({constants.ENDPOINT}) cannot be reached, and no whole {name!r} was downloaded "
                f"before ({constants.HF_HUB_CACHE}); where there is a network, `hf download {name} --local-dir FOLDER` "
                f"and name that folder instead; {EXPECTED}"
            ) from None
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        kind = "the folder" if is_folder else "the hub id or folder"
        raise PretrainedError(f"pretrained: {kind} {name!r} gives no {loader.__name__} ({first}); {EXPECTED}") from None


def load_tokenizer(name: str, max_length: int) -> Text:
    """The text preprocessing that belongs to a pretrained model, with its own tokenizer.json.

    Raises:
        PretrainedError: as `load_pretrained`, or a tokenizer that cannot be written as tokenizer.json, or pad.
        ConfigError: texts that are longer than it goes.
    """
    if name and Path(name).is_dir() and not any(list(Path(name).glob(pattern)) for pattern in VOCABULARIES):
        raise PretrainedError(f"pretrained: the folder {name!r} holds no tokenizer.json; {EXPECTED}")
    loaded = load_pretrained(AutoTokenizer, name)
    if getattr(loaded, "backend_tokenizer", None) is None:
        raise PretrainedError(f"pretrained: {name!r} has no fast tokenizer; expected one with tokenizer.json")
    padding = loaded.pad_token_id if loaded.pad_token_id is not None else loaded.eos_token_id
    if padding is None:
        raise PretrainedError(f"pretrained: {name!r} has a tokenizer without a padding token, expected one with")
    if max_length > loaded.model_max_length:
        raise ConfigError(
            f"text.max_length must be at most {loaded.model_max_length}, which {name!r} was made for, not {max_length}"
        )
    return Text(loaded.backend_tokenizer.to_str(), max_length, int(padding))


@cache
def reachable() -> bool:
    """Whether the hub answers at all, asked once a process; else only what was downloaded before is looked for."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        httpx.head(constants.ENDPOINT, timeout=PATIENCE)
    except (httpx.TransportError, OSError):  # OSError: certificates that cannot be read
        return False
    return True


def _load(loader: Any, name: str, offline: bool) -> Any:
    """As `from_pretrained`, but weights that are not there are an error, not random numbers and a warning."""
    logging.disable_progress_bar()  # of reading; downloads keep theirs
    if not issubclass(loader, PreTrainedModel) and loader is not AutoModel:
        return loader.from_pretrained(name, local_files_only=offline)
    stored = PreTrainedConfig.get_config_dict(name, local_files_only=offline)[0].get("model_type")
    wanted = getattr(getattr(loader, "config_class", None), "model_type", stored)
    if stored != wanted:
        raise ValueError(f"it holds a model of type {stored!r}, expected {wanted!r}")
    model, report = loader.from_pretrained(name, output_loading_info=True, local_files_only=offline)
    absent = sorted(key for key in report["missing_keys"] if "pooler" not in key)  # the pooler is not used
    if absent:
        raise ValueError(f"its weights lack {absent[0]} and {len(absent) - 1} more")
    return model
