"""The global random generators: seeded together, saved, and restored."""

import random
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed


def seed(number: int) -> None:
    """Seed those of Python, numpy and torch; encoders made by others may draw from any of them."""
    set_seed(number)


def random_state() -> dict[str, Any]:
    """Their states, as `training.state` can save them."""
    version, words, gauss = random.getstate()
    own = np.random.get_state(legacy=False)
    assert isinstance(own, dict)
    found: dict[str, Any] = {
        "cpu": torch.get_rng_state(),
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy": {**own, "state": {**own["state"], "key": torch.tensor(own["state"]["key"].astype(np.int64))}},
    }
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def set_random_state(state: dict[str, Any]) -> None:
    """Restore what `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    python, own = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    key = own["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**own, "state": {**own["state"], "key": key}})
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
