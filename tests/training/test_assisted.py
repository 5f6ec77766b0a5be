"""Assisted training's terms and gradients against a loop from its equation, joint and unimodal training."""

import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from tests.training import tiny
from tests.training.conftest import Fit
from tests.training.tiny import BATCH, CLASSES, THREE, TWO
from training import catalog
from training.batch import Batch, Output
from training.errors import ConfigError
from training.method import Method
from training.methods.assisted import Assisted
from training.methods.joint import Joint
from training.methods.unimodal import Unimodal

NAMES = pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])


def build(names: tuple[str, ...] = TWO, weight: float = 1.0) -> Assisted:
    return Assisted(tiny.setting(names), Assisted.Options(weight))


def gradients_of(method: Method, names: tuple[str, ...]) -> list[Tensor]:
    model = tiny.classifier(names)
    torch.manual_seed(3)
    tiny.gradients(model, method, tiny.batches(1, names)[0], Accelerator(cpu=True))
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@NAMES
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_terms_are_those_of_a_loop(names: tuple[str, ...], weight: float) -> None:
    shares = {name: 3 * torch.randn(BATCH, CLASSES) for name in names}
    labels = torch.randint(CLASSES, (BATCH,))
    logits = torch.stack(list(shares.values())).sum(dim=0)
    found = build(names, weight).loss(Output(logits, {}, shares), Batch({}, labels, labels, labels))
    assert list(found) == ["task", *names]
    for name, values in {"task": logits, **shares}.items():
        naive = 0.0
        for row, label in zip(values.tolist(), labels.tolist(), strict=True):
            naive -= math.log(math.exp(row[label]) / sum(math.exp(value) for value in row)) / BATCH
        assert float(found[name]) == pytest.approx(naive if name == "task" else weight * naive, rel=1e-4, abs=1e-6)


@NAMES
def test_its_gradient_is_that_of_joint_plus_weighted_that_of_unimodal_training(names: tuple[str, ...]) -> None:
    setting = tiny.setting(names)
    joint = gradients_of(Joint(setting, Joint.Options()), names)
    unimodal = gradients_of(Unimodal(setting, Unimodal.Options()), names)
    found = gradients_of(build(names, 0.4), names)
    assert len(joint) == len(found)
    for one, own, both in zip(joint, unimodal, found, strict=True):
        torch.testing.assert_close(both, one + 0.4 * own, rtol=1e-3, atol=1e-5)
    assert all(torch.equal(*pair) for pair in zip(joint, gradients_of(build(names, 0.0), names), strict=True))


@NAMES
def test_a_saved_state_resumes_exactly_and_no_random_stream_is_disturbed(names: tuple[str, ...]) -> None:
    tiny.assert_resumes(lambda: build(names), names, Accelerator(cpu=True))
    tiny.assert_disturbs_nothing(lambda: build(names), tiny.classifier(names), tiny.batches(1, names)[0])


def test_the_whole_program_without_weight_trains_the_weights_of_joint_training(
    fit: Fit, table: Path, tmp_path: Path
) -> None:
    options = ("--modalities", "image", "text", "genomics", "--epochs", "2")
    assert fit(table, "--method", "joint", *options, out=tmp_path / "joint") == 0
    assert fit(table, "--method", "assisted", "--method.weight", "0", *options, out=tmp_path / "none") == 0
    assert fit(table, "--method", "assisted", *options, out=tmp_path / "one") == 0
    joint, none, one = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("joint", "none", "one"))
    assert joint == none and joint != one


@pytest.mark.parametrize("fusion", ["film", "gated"])
def test_a_fusion_that_mixes_modalities_in_their_shares_is_refused(
    fusion: str, fit: Fit, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(table, "--method", "assisted", "--modalities", "image", "text", "--fusion", fusion) == 2
    assert "assisted needs a fusion whose shares are each modality's own: concat or sum" in capsys.readouterr().err


def test_the_catalogue_finds_it_and_all_losses_count_alike() -> None:
    assert catalog.load("methods", "assisted") is Assisted
    assert Assisted.Options().weight == 1.0


@pytest.mark.parametrize("weight", [-0.1, math.inf, math.nan])
def test_an_impossible_weight_is_refused_at_construction(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"method\.weight must not be negative"):
        Assisted.Options(weight)
