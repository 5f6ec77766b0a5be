"""A step in parts, in low precision, with clipped gradients and with compiled encoders."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.training.alike import STEADY
from tests.training.tiny import TWO, batches, classifier, setting
from training import catalog, compiling
from training.config import Config
from training.distributed import start
from training.errors import ConfigError
from training.fit import prepare
from training.loop import Loop
from training.stepping import Parts, Stepping

WITHOUT_BATCH_STATISTICS = ("--modalities", "text", "genomics", "--text.encoder.dropout", "0", *STEADY[3:])


@pytest.fixture
def losses(table: Path, configure: Callable[..., Config], tmp_path: Path) -> Callable[..., list[float]]:
    def train(*options: object) -> list[float]:
        config = configure(table, "--method", "joint", *WITHOUT_BATCH_STATISTICS, *options)
        (tmp_path / "run").mkdir(exist_ok=True)
        loop = Loop(config, prepare(config), tmp_path / "run")
        loop.run()
        return [entry["loss"]["task"] for entry in loop.history]

    return train


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_parts_are_the_undivided_batch_where_nothing_is_compared_within_it(
    parts: int, losses: Callable[..., list[float]]
) -> None:
    assert losses("--accumulate", parts) == pytest.approx(losses(), rel=1e-5)


@pytest.mark.parametrize("method", catalog.names("methods"))
def test_every_method_steps_in_bf16_with_losses_in_float32(method: str) -> None:
    found = {}
    for precision in ("no", "bf16"):
        kind = catalog.load("methods", method)
        parts = Parts(classifier(TWO).train(), kind(setting(TWO), kind.Options()).train())
        config = Config(device="cpu", precision=precision)
        _fresh()
        accelerator = start(config)
        optimizer = accelerator.prepare_optimizer(torch.optim.SGD([*parts.model.parameters(), *parts.method.trained()]))
        stepping = Stepping(parts, accelerator, config)
        assert stepping.forward(batches(1, TWO)[0]).features["image"].dtype == (
            torch.float32 if precision == "no" else torch.bfloat16
        )
        terms, _ = stepping.step(batches(1, TWO)[0], optimizer, look=True)
        assert {term.dtype for term in terms.values()} == {torch.float32}
        gradients = [one.grad for one in parts.model.encoders.parameters() if one.grad is not None]
        assert gradients and all(bool(one.isfinite().all()) and one.dtype == torch.float32 for one in gradients)
        found[precision] = {name: float(term) for name, term in terms.items()}
    assert found["bf16"] == pytest.approx(found["no"], rel=0.05, abs=0.05)


def _fresh() -> None:
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_gradients_are_no_longer_than_asked_for() -> None:
    lengths = []
    for clip in (None, 0.01):
        joint = catalog.load("methods", "joint")
        parts = Parts(classifier(TWO), joint(setting(TWO), joint.Options()))
        config = Config(device="cpu", clip=clip)
        accelerator = start(config)
        optimizer = accelerator.prepare_optimizer(torch.optim.SGD(parts.model.parameters()))
        Stepping(parts, accelerator, config).step(batches(1, TWO)[0], optimizer, look=False)
        squares = [one.grad.square().sum() for one in parts.model.parameters() if one.grad is not None]
        lengths.append(math.sqrt(sum(map(float, squares))))
    assert lengths[0] > 0.1 and lengths[1] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
def test_compiled_encoders_train_as_plain_ones(losses: Callable[..., list[float]]) -> None:
    options = ("--modalities", "genomics", "text", "--epochs", "1", "--text.encoder.layers", "1")
    assert losses(*options, "--compile") == pytest.approx(losses(*options), rel=1e-4)


def test_a_machine_that_cannot_compile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(compiling, "_small", fail)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    with pytest.raises(ConfigError, match=r"compile cannot be had on this machine: .*No working C\+\+ compiler"):
        compiling.compile_encoders(classifier(TWO).encoders, torch.device("cpu"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 0}, "accumulate must be at least 1, not 0"),
        ({"accumulate": 5, "batch_size": 9}, "accumulate must leave two samples a part, at most 4 parts"),
        ({"clip": 0.0}, "clip must be a positive number, not 0.0"),
        ({"clip": math.inf}, "clip must be a positive number, not inf"),
    ],
)
def test_impossible_parts_and_lengths_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**options)  # type: ignore[arg-type]
