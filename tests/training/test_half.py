"""Half precision: losses are scaled so that gradients do not vanish in 16 bits, and no method may notice.

What only an accelerator does, a CPU is made to do here: torch scales and rounds there too, but Accelerate refuses.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from tests.training.conftest import Fit
from tests.training.test_resume import METHODS, Killed, assert_same_runs, kill_on_call
from training import checkpoint, distributed, state
from training.fit import main

SCALE = 2.0**12
"""A power of two, so that what is multiplied by it and divided again is the same, bit for bit."""
MORE = {"clipped": ("joint", "--clip", "0.05"), "in parts": ("mmpareto", "--accumulate", "2")}
OPTIONS = ("--modalities", "image", "text", "--epochs", "3", "--optimiser", "sgd", "--learning-rate", "0.05")


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch, scale: float, rounding: bool) -> list[torch.amp.GradScaler]:
    """Trainings from now on scale their losses; returns their scalers.

    Args:
        monkeypatch: until when.
        scale: to begin with.
        rounding: whether to compute in 16 bits too.
    """
    made: list[torch.amp.GradScaler] = []
    start = distributed.start

    def started(*arguments: Any) -> Accelerator:
        accelerator = start(*arguments)
        made.append(torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=4))
        monkeypatch.setattr(accelerator, "scaler", made[-1])
        if rounding:
            monkeypatch.setattr(accelerator, "native_amp", True)
            monkeypatch.setitem(AcceleratorState._shared_state, "_mixed_precision", "fp16")
        else:

            def unscale() -> None:
                made[-1].unscale_(accelerator._optimizers[0].optimizer)

            monkeypatch.setattr(accelerator, "unscale_gradients", unscale)
        return accelerator

    monkeypatch.setattr("training.loop.distributed.start", started)
    return made


@pytest.mark.parametrize("case", [*METHODS, *MORE])
def test_no_method_notices_that_its_loss_is_scaled(
    case: str, table: Path, tmp_path: Path, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*OPTIONS, "--method", *(METHODS | MORE)[case])
    assert fit(table, *options, out=tmp_path / "plain") == 0
    scalers = as_on_a_gpu(monkeypatch, SCALE, rounding=False)
    assert fit(table, *options, out=tmp_path / "scaled") == 0
    assert scalers[-1].get_scale() > SCALE, "it scaled, and grew"
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "scaled"))
    for name, value in one.items():
        if "ogm_ge" in options:  # adds 1e-8 to a spread, as published
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5, msg=name)
        else:
            assert torch.equal(other[name], value), name


def test_a_step_whose_gradients_overflow_is_left_out(
    table: Path, tmp_path: Path, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    scalers = as_on_a_gpu(monkeypatch, 2.0**127, rounding=False)
    assert fit(table, *OPTIONS, "--method", "infobridge", "--clip", "1") == 0
    assert scalers[-1].get_scale() < 2.0**127
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert all(bool(value.isfinite().all()) for value in weights.values() if value.is_floating_point())


@pytest.mark.parametrize("method", ["infobridge", "mmpareto"])
def test_a_killed_training_in_16_bits_ends_as_one_in_peace(
    method: str, table: Path, tmp_path: Path, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*OPTIONS, "--method", method, "--save-minutes", "0")
    as_on_a_gpu(monkeypatch, SCALE, rounding=True)
    assert fit(table, *options, out=tmp_path / "whole") == 0
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.SGD, "step", kill_on_call(6, torch.optim.SGD.step, before=False))
        fit(table, *options)
    assert main(["--resume", "--out", str(tmp_path / "run")]) == 0
    assert_same_runs(tmp_path / "whole", tmp_path / "run")
    kept = state.load(tmp_path / "run" / checkpoint.STATE)
    assert kept["scaler"]["scale"] > SCALE, "it grew, and was kept"
    assert {value.dtype for value in kept["model"].values() if value.is_floating_point()} == {torch.float32}
