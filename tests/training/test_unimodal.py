"""Unimodal training: each modality learns as if the others were not there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from training.batch import Batch, Output
from training.config import Config
from training.evaluate import Evaluation
from training.fit import main, prepare
from training.loop import Loop
from training.method import Setting
from training.methods.unimodal import Unimodal

NAMES = ("image", "text", "genomics")


@pytest.fixture
def loop(table: Path, configure: Callable[..., Config], tmp_path: Path) -> Callable[[], Loop]:
    config = configure(table, "--method", "unimodal", "--modalities", *NAMES, "--epochs", "3")
    prepared = prepare(config)
    (tmp_path / "run").mkdir()
    return lambda: Loop(config, prepared, tmp_path / "run")


def parts(loop: Loop, name: str) -> list[torch.Tensor]:
    """Every value of one modality's encoder and head."""
    heads = loop.model.fusion.heads
    assert isinstance(heads, nn.ModuleDict)
    modules = (loop.model.encoders[name], heads[name])
    return [value.clone() for module in modules for value in module.state_dict().values()]


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_crosses_between_modalities(name: str, loop: Callable[[], Loop]) -> None:
    trained = loop()
    batch = next(iter(trained.loader))
    terms = trained.method(trained.model.train()(batch.inputs), batch)
    assert set(terms) == set(NAMES)
    terms[name].backward()
    for other in NAMES:
        heads = trained.model.fusion.heads
        assert isinstance(heads, nn.ModuleDict)
        for module in (trained.model.encoders[other], heads[other]):
            found = [weight.grad is not None and bool(weight.grad.any()) for weight in module.parameters()]
            assert any(found) if other == name else not any(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_modality_trains_alike_whether_its_partners_train_or_not(
    name: str, loop: Callable[[], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = loop()
    expected = _trained(together, name)
    whole = Unimodal.loss
    with monkeypatch.context() as patched:
        patched.setattr(Unimodal, "loss", lambda self, out, batch: {name: whole(self, out, batch)[name]})
        alone = loop()
        untouched = {other: [weight.clone() for weight in alone.model.encoders[other].parameters()] for other in NAMES}
        before = parts(alone, name)
        found = _trained(alone, name)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(before, found, strict=True))
    for other in set(NAMES) - {name}:
        pairs = zip(untouched[other], alone.model.encoders[other].parameters(), strict=True)
        assert all(torch.equal(one, now) for one, now in pairs), "the partners were not trained"
    series = [[entry["loss"][name] for entry in run.history] for run in (together, alone)]
    assert series[0] == series[1]


def _trained(loop: Loop, name: str) -> list[torch.Tensor]:
    """Train; as `parts`, of the last epoch and not of the kept one."""
    loop.run()
    loop.resume()
    return parts(loop, name)


def test_the_terms_are_each_share_s_own_cross_entropy() -> None:
    method = Unimodal(Setting({"image": 2, "text": 2}, 3, 0, 1e-3), Unimodal.Options())
    shares = {"image": torch.randn(4, 3), "text": torch.randn(4, 3)}
    labels = torch.tensor([0, 2, 1, 1])
    batch = Batch({}, labels, torch.arange(4), torch.arange(4))
    terms = method(Output(shares["image"] + shares["text"], {}, shares), batch)
    for name, share in shares.items():
        probabilities = share.exp() / share.exp().sum(dim=1, keepdim=True)
        naive = sum(-float(probabilities[row, label].log()) for row, label in enumerate(labels.tolist())) / 4
        assert float(terms[name]) == pytest.approx(naive, rel=1e-5)


def test_the_best_epoch_is_that_of_the_modalities_mean_accuracy() -> None:
    method = Unimodal(Setting({}, 3, 0, 1e-3), Unimodal.Options())
    assert method.score(Evaluation(0.9, 0.9, {"image": 0.2, "text": 0.6}, 10)) == pytest.approx(0.4)


@pytest.mark.parametrize("fusion", ["film", "gated"])
def test_a_fusion_that_mixes_modalities_in_their_shares_is_refused(
    fusion: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--dataset", "table", "--dataset.path", str(table), "--modalities", "image", "text"]
    assert main([*arguments, "--method", "unimodal", "--fusion", fusion, "--out", str(tmp_path / "run")]) == 2
    assert "concat or sum" in capsys.readouterr().err
