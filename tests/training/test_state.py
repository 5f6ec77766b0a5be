"""Nested state to safetensors and JSON, and back, without pickle."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from training import state
from training.errors import CheckpointError

STATE: dict[str, Any] = {
    "model": {"weight": torch.arange(6.0).reshape(2, 3), "half": torch.ones(2, dtype=torch.bfloat16)},
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "groups": [{"lr": 1e-3, "params": [0, 1]}]},
    "random": torch.arange(5, dtype=torch.uint8),
    "none": None,
    "words": ["α", True, -1.5e-300],
    "infinite": float("-inf"),
    "shared": torch.zeros(1),
}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state.save(STATE, tmp_path / "state")
    found = state.load(tmp_path / "state")
    assert list(found) == list(STATE)
    assert torch.equal(found["model"]["weight"], STATE["model"]["weight"])
    assert found["model"]["half"].dtype == torch.bfloat16
    assert list(found["optimizer"]["state"]) == [0, 1], "keys that are numbers stay numbers"
    assert found["optimizer"]["groups"] == STATE["optimizer"]["groups"]
    assert (found["none"], found["words"], found["infinite"]) == (None, STATE["words"], float("-inf"))


def test_tensors_that_share_memory_or_are_strided_are_kept(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    state.save({"one": whole, "other": whole, "turned": whole.T, "row": whole[1]}, tmp_path / "state")
    found = state.load(tmp_path / "state")
    assert torch.equal(found["other"], whole) and torch.equal(found["turned"], whole.T)


def test_a_later_state_replaces_an_earlier_one_and_what_a_kill_left(tmp_path: Path) -> None:
    (tmp_path / "state-0badc0de.safetensors").write_bytes(b"left behind")
    for number in range(3):
        state.save({"value": torch.tensor(number)}, tmp_path / "state")
    assert int(state.load(tmp_path / "state")["value"]) == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["absent", "json", "tensors", "no tensors", "other tensors", "tree"])
def test_a_damaged_state_is_one_line(damage: str, tmp_path: Path) -> None:
    if damage != "absent":
        state.save(STATE, tmp_path / "state")
    (tensors,) = list(tmp_path.glob("*.safetensors")) or [tmp_path / "x"]
    if damage == "json":
        (tmp_path / "state.json").write_text("{", "utf-8")
    elif damage == "tensors":
        tensors.write_bytes(tensors.read_bytes()[:-3])
    elif damage == "no tensors":
        tensors.unlink()
    elif damage == "other tensors":
        name = tensors.name
        state.save({"x": torch.zeros(1)}, tmp_path / "other")
        next(tmp_path.glob("other-*")).rename(tmp_path / name)
    elif damage == "tree":
        (tmp_path / "state.json").write_text(f'{{"tensors": "{tensors.name}", "tree": {{"a": 1}}}}', "utf-8")
    with pytest.raises(CheckpointError, match=r"^no usable training state at .*state\.json: [^\n]+$"):
        state.load(tmp_path / "state")


def test_the_tensors_are_plain_safetensors(tmp_path: Path) -> None:
    state.save(STATE, tmp_path / "state")
    found = load_file(next(tmp_path.glob("*.safetensors")))
    assert set(found) == {"/model/weight", "/model/half", "/optimizer/state/0/step", "/random", "/shared"}
