"""What every method, encoder, dataset, fusion and condition on disk must keep to."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

import training
from bundle.modalities import MODALITIES, Genomics, Image
from training import catalog
from training.batch import Batch, Output
from training.condition import Condition
from training.config import Config, GenomicsOptions, ImageOptions, PathologyOptions
from training.dataset import Dataset
from training.encoder import Encoder
from training.encoders.convolutional import Convolutional
from training.encoders.snn import SelfNormalising
from training.evaluate import encode
from training.loop import build_parts
from training.memory import Memory
from training.method import Method, Run, Setting

EVERY = [(kind, name) for kind in get_args(catalog.Kind) for name in catalog.names(kind)]
WORDS = 3


def own_docstrings(kind: Any) -> dict[str, str]:
    """The docstring below each field of a dataclass, from its source."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)).body
    found = {}
    for one, following in pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            text = getattr(getattr(following, "value", None), "value", None)
            found[one.target.id] = text if isinstance(text, str) else ""
    return found


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_name_can_be_loaded_and_its_module_and_class_say_what_they_are(kind: catalog.Kind, name: str) -> None:
    loaded = catalog.load(kind, name)
    module = import_module(f"training.{kind}.{name}")
    assert module.__doc__ and len(module.__doc__.splitlines()[0].split()) >= WORDS
    assert loaded.__doc__ and len(loaded.__doc__.split()) >= WORDS


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_its_options_are_a_frozen_dataclass_with_a_docstring_for_each_field(kind: catalog.Kind, name: str) -> None:
    options: Any = catalog.load(kind, name).Options
    assert is_dataclass(options)
    assert vars(options)["__dataclass_params__"].frozen
    assert options.__doc__ and not options.__doc__.startswith("Options(")
    documented = own_docstrings(options)
    assert [entry.name for entry in fields(options) if len(documented.get(entry.name, "")) < 4] == []


@pytest.mark.parametrize(
    ("kind", "base"),
    [("methods", Method), ("encoders", Encoder), ("datasets", Dataset), ("conditions", Condition)],
)
def test_classes_derive_from_the_class_of_their_kind(kind: catalog.Kind, base: type) -> None:
    assert all(issubclass(catalog.load(kind, name), base) for name in catalog.names(kind))


@pytest.mark.parametrize("name", catalog.names("encoders"))
def test_an_encoder_accepts_modalities_that_there_are(name: str) -> None:
    accepted = catalog.load("encoders", name).ACCEPTS
    assert accepted and set(accepted) <= set(MODALITIES)


def test_every_modality_has_an_encoder_that_is_its_default() -> None:
    for name in MODALITIES:
        assert name in catalog.load("encoders", Config().of(name).encoder).ACCEPTS


def setting(method: str, count: int) -> tuple[Config, dict[str, Any]]:
    small = Convolutional.Options(8, 2)
    config = Config(
        method=method,
        method_options=catalog.load("methods", method).Options(),
        image=ImageOptions(encoder_options=small),
        pathology=PathologyOptions(encoder_options=small),
        genomics=GenomicsOptions(encoder_options=SelfNormalising.Options((8, 6))),
    )
    found: dict[str, Any] = {
        "image": Image(8),
        "genomics": Genomics(("a", "b"), (0.0, 0.0), (0.0, 0.0), (1.0, 1.0)),
        "pathology": MODALITIES["pathology"](8),  # type: ignore[call-arg]
    }
    return config, dict(list(found.items())[:count])


def batches(modalities: dict[str, Any], classes: int) -> Iterator[Batch]:
    generator = np.random.default_rng(0)
    for number in range(2):
        inputs = {
            name: torch.from_numpy(
                modality.stack([modality.normalise(modality.decode(modality.example(generator))) for _ in range(8)])
            )
            for name, modality in modalities.items()
        }
        samples = torch.arange(8) + 8 * number
        yield Batch(inputs, torch.arange(8) % classes, samples, samples)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", catalog.names("methods"))
def test_a_method_trains_two_steps_and_names_its_finite_terms(name: str, count: int) -> None:
    torch.manual_seed(0)
    config, modalities = setting(name, count)
    model, method = build_parts(config, modalities, 3)
    optimizer = torch.optim.SGD([*model.parameters(), *method.trained()], 0.01)
    accelerator = Accelerator(cpu=True)
    data = list(batches(modalities, 3))
    method.epoch_start(Run(0, 1, model, optimizer, lambda split: encode(model, data, accelerator)))
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    for batch in data:
        output: Output = model.train()(batch.inputs)
        terms: dict[str, Tensor] = method.train()(output, batch)
        assert terms and all(isinstance(term, str) and term for term in terms)
        assert all(value.dim() == 0 and torch.isfinite(value) for value in terms.values())
        optimizer.zero_grad()
        method.backward(terms, accelerator)
        optimizer.step()
    assert all(torch.isfinite(value).all() for value in model.state_dict().values() if value.is_floating_point())
    assert any(not torch.equal(before[key], weight) for key, weight in model.state_dict().items())
    assert all(isinstance(value, float) for value in method.diagnostics().values())


@pytest.mark.parametrize("name", catalog.names("fusion"))
def test_a_fusion_gives_every_modality_its_share(name: str) -> None:
    widths = {"image": 4, "text": 3, "genomics": 5}
    shares = catalog.load("fusion", name)(widths, 7)({key: torch.randn(2, width) for key, width in widths.items()})
    assert {key: tuple(share.shape) for key, share in shares.items()} == dict.fromkeys(widths, (2, 7))


@pytest.mark.parametrize("name", catalog.names("conditions"))
def test_a_condition_gives_every_sample_one_of_its_contexts(name: str) -> None:
    kind = catalog.load("conditions", name)
    condition = kind(Setting({"image": 4, "text": 2}, 3, 0, 0.1), kind.Options())
    features = {"image": torch.randn(3, 4), "text": torch.randn(3, 2)}
    projections = {key: torch.randn(3, 5) for key in features}
    batch = Batch({}, torch.tensor([0, 2, 1]), torch.arange(3), torch.arange(3))
    contexts = condition.contexts(batch, features, projections, Memory(6, 5, list(features)))
    assert contexts.shape == (3,) and contexts.dtype == torch.int64
    assert 0 <= int(contexts.min()) <= int(contexts.max()) < condition.count


def test_a_file_that_is_no_method_is_no_name() -> None:
    folder = Path(training.__file__).parent
    assert "__init__" not in catalog.names("methods") and not (folder / "methods" / "utils.py").exists()
