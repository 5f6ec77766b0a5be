"""Training with every context T: with α = 0 none touches the classifier, and all resume exactly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from tests.training.conftest import Fit
from tests.training.test_infobridge import (
    CLASSES,
    NAMES,
    TWO,
    classifier,
    infobridge,
    optimiser,
    real_batches,
    step,
    weights,
)
from tests.training.test_resume import OPTIONS, Killed, flat, kill_on_call
from training import catalog, checkpoint, state
from training.command import parse
from training.evaluate import encode
from training.fit import main
from training.method import Method, Run, Setting
from training.methods.infobridge import InfoBridge
from training.methods.joint import Joint
from training.model import Classifier

CONDITIONS = pytest.mark.parametrize("context", catalog.names("conditions"))


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def train(model: Classifier, method: Method, names: tuple[str, ...], accelerator: Accelerator) -> list[list[Tensor]]:
    """Two epochs; returns the weights after each step."""
    optimizer = optimiser("adamw", model, method)
    torch.manual_seed(5)
    path = []
    batches = real_batches(4, names)
    for epoch in range(2):
        method.epoch_start(Run(epoch, 2, model, optimizer, lambda split: encode(model, batches, accelerator)))
        for batch in batches:
            step(model, method, optimizer, batch, accelerator)
            path.append(weights(model))
    return path


@CONDITIONS
@NAMES
@pytest.mark.parametrize("update", ["joint", "alternate"])
def test_with_alpha_0_every_context_leaves_joint_trainings_trajectory_bit_for_bit(
    context: str, names: tuple[str, ...], update: str, accelerator: Accelerator
) -> None:
    setting = Setting(dict.fromkeys(names, 8), CLASSES, 0, 0.01)
    expected = train(classifier(names), Joint(setting, Joint.Options()), names, accelerator)
    found = train(classifier(names), infobridge(names, alpha=0.0, context=context, update=update), names, accelerator)
    for one, two in zip(expected, found, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, two, strict=True))
    other = train(classifier(names), infobridge(names, context=context, update=update), names, accelerator)
    assert not all(torch.equal(*pair) for pair in zip(expected[-1], other[-1], strict=True))


class Drawing:
    """Batches whose iteration draws from the global generator, as a loader's does."""

    def __iter__(self) -> Iterator[Any]:
        torch.rand(3)
        return iter(real_batches(3))


def test_features_come_in_order_and_in_evaluation_mode_and_leave_no_trace(accelerator: Accelerator) -> None:
    model = classifier(dropout=0.5).train()
    model.encoders["video"].eval()
    torch.manual_seed(4)
    before, modes = torch.get_rng_state(), [module.training for module in model.modules()]
    found = encode(model, Drawing(), accelerator)
    assert torch.equal(before, torch.get_rng_state())
    assert modes == [module.training for module in model.modules()]
    model.eval()
    batches = real_batches(3)
    assert torch.equal(found.labels, torch.cat([batch.labels for batch in batches]))
    assert torch.equal(found.samples, torch.cat([batch.samples for batch in batches]))
    for name in TWO:
        expected = torch.cat([model(batch.inputs).features[name] for batch in batches])
        assert torch.equal(found.features[name], expected)
        assert not found.features[name].requires_grad


def test_the_whole_program_with_alpha_0_trains_the_weights_of_joint_training(
    fit: Fit, table: Path, tmp_path: Path
) -> None:
    weightless = ("--method", "infobridge", "--method.alpha", "0", "--method.memory", "32")
    assert fit(table, "--method", "joint", *OPTIONS, out=tmp_path / "joint") == 0
    for context in catalog.names("conditions"):
        assert fit(table, *weightless, "--method.context", context, *OPTIONS, out=tmp_path / context) == 0
        for file in ("model.safetensors", "best.safetensors"):
            assert (tmp_path / "joint" / file).read_bytes() == (tmp_path / context / file).read_bytes(), context


@pytest.mark.parametrize("modalities", [("image", "text"), ("image", "text", "genomics")], ids=["two", "three"])
@pytest.mark.parametrize("context", ["cluster", "retrieval", "constant"])
def test_a_killed_training_goes_on_exactly(
    context: str,
    modalities: tuple[str, ...],
    fit: Fit,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ["--method.context", context, "--method.clusters", "3", "--method.memory", "32", "--epochs", "4"]
    options += ["--modalities", *modalities]
    assert fit(table, *options, out=tmp_path / "whole") == 0
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(torch.optim.AdamW, "step", kill_on_call(8, torch.optim.AdamW.step, before=False))
        fit(table, *options)
    assert main(["--out", str(tmp_path / "run"), "--resume"]) == 0
    one, other = (flat(state.load(tmp_path / name / checkpoint.STATE)) for name in ("whole", "run"))
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, Tensor):  # NaN is the normaliser of a context that was never seen
            torch.testing.assert_close(other[name], value, rtol=0, atol=0, equal_nan=True, msg=name)
        else:
            assert other[name] == value, name
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == (
        tmp_path / "run" / "model.safetensors"
    ).read_bytes()
    if context == "cluster":
        assert int(one["/method/condition.ready"]) == 1


def test_the_ablations_are_options_of_the_command_line() -> None:
    arguments = "--method infobridge --method.alpha 0 --method.no-margin --method.context cluster --method.clusters 10"
    options = parse(arguments.split()).config.method_options
    assert (options.alpha, options.margin, options.context, options.clusters) == (0.0, False, "cluster", 10)
    method = InfoBridge(Setting(dict.fromkeys(TWO, 4), CLASSES, 0, 0.01), options)
    assert method.condition.count == 10 and method.margin == 0.0
