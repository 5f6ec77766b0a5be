"""Engines: built, proved, stored, stated and served, with ONNX Runtime in the place of the card."""

import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from bundle.manifest import GRAPH, Manifest
from bundle.plan import Proof
from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from export import tensorrt_run
from export.__main__ import main
from export.assemble import CARD
from export.errors import ExportError, ValueMismatch
from export.feeds import Feed, random_feed
from export.parity import load
from export.tensorrt_library import Library
from export.tensorrt_proof import TOLERANCES, parts, prove
from export.tensorrt_run import Execution, card
from export.tensorrt_shapes import EngineOptions
from export.to_tensorrt import known, ready
from tests.export.conftest import Exported
from tests.export.tensorrt.fake_card import Card, fake_tensorrt

Encoded = Callable[[str], Exported]
FILE = "engines/fp16-sm90.plan"


@pytest.fixture
def fake(rtx: Library, monkeypatch: pytest.MonkeyPatch) -> Card:
    """The card of a TensorRT that can be imported."""
    module, card = fake_tensorrt(rtx, monkeypatch)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return card


def test_a_bundle_gets_an_engine_and_is_served_by_triton(
    encoded: Encoded, fake: Card, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, other = encoded("resnet").bundle, tmp_path / "other"
    before = (bundle / "manifest.json").read_bytes()
    arguments = ["--tensorrt-engine.max-batch", "8", "--tensorrt-engine.usual-batch", "2"]
    triton = ["--triton", str(tmp_path / "repository"), "--triton-model.backend", "tensorrt_plan"]
    asked = [str(bundle), "--to", str(other), "--tensorrt", "fp16", *arguments]
    assert main([*asked, *triton, "--triton-model.max-batch", "8"]) == 0
    assert f"{FILE}: TensorRT 10.16.1.11, a card that is none (9.0); within " in capsys.readouterr().out
    manifest = Manifest.read(other)
    [plan] = manifest.engines
    assert (plan.file, plan.precision, plan.compute_capability) == (FILE, "fp16", "9.0")
    assert plan.graph == sha256(fake.graph).hexdigest()
    assert any(tensor.data_type == 10 for tensor in onnx.load_from_string(fake.graph).graph.initializer)
    assert plan.ranges["text"].most == (8, 12) and plan.proof.samples >= 4 + 4 + 8 + 2
    assert 0 < plan.proof.difference <= plan.proof.tolerance == TOLERANCES["fp16"] and plan.proof.ties == 0
    assert max(fake.batches) == 8 and {1, 2, 4} <= set(fake.batches)
    assert selfcheck(Predictor(other)) == 4
    assert (bundle / "manifest.json").read_bytes() == before and not (bundle / "engines").exists()
    served = tmp_path / "repository" / "prod" / manifest.name / "1" / "model.plan"
    assert served.read_bytes() == (other / FILE).read_bytes()
    assert main([str(other), "--to", str(tmp_path / "both"), "--tensorrt", "fp32", *arguments]) == 0
    assert [one.file for one in Manifest.read(tmp_path / "both").engines] == [FILE, "engines/fp32-sm90.plan"]
    assert "TensorRT" not in (bundle / CARD).read_text()
    options = " --tensorrt-engine.max-batch 8 --tensorrt-engine.usual-batch 2"
    export = f"\npython -m export RUN --to BUNDLE --tensorrt fp16{options}\n"
    further = f"python -m export BUNDLE --to OTHER --tensorrt fp32{options}\n"
    row = f"| {FILE} | a card that is none (9.0) | 10.16.1.11 | 8 | {plan.proof.samples} |"
    one, both = ((folder / CARD).read_text() for folder in (other, tmp_path / "both"))
    assert row in one and f"{export}```\n" in one and "fp32" not in one
    assert both.count(row) == both.count("\n## TensorRT\n") == 1 and "| engines/fp32-sm90.plan | a card" in both
    assert f"{export}{further}```\n" in both


def test_a_run_is_exported_with_an_engine(
    encoded: Encoded, fake: Card, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = encoded("snn").run, tmp_path / "tissue"
    assert main([str(run.folder), "--to", str(other), "--tensorrt", "fp32"]) == 0
    said = capsys.readouterr().out
    assert "the engine is proved on golden samples only: proving an engine on held-out samples needs the data" in said
    manifest = Manifest.read(other)
    assert manifest.name == "tissue" and [plan.precision for plan in manifest.engines] == ["fp32"]
    assert manifest.engines[0].graph == manifest.files[GRAPH]


def test_an_engine_that_answers_otherwise_leaves_nothing(
    encoded: Encoded, fake: Card, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.error = 1.0
    assert main([str(encoded("snn").bundle), "--to", str(tmp_path / "other"), "--tensorrt", "fp16"]) == 2
    assert "an engine in fp16 must differ from its graph by at most 0.02, found 0." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("what", "said"), [("loads", "does not load the engine"), ("runs", "failed on the card")])
def test_an_engine_that_fails_on_the_card_leaves_nothing(
    encoded: Encoded, fake: Card, tmp_path: Path, what: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    setattr(fake, what, False)
    assert main([str(encoded("snn").bundle), "--to", str(tmp_path / "other"), "--tensorrt", "fp16"]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_shapes_outside_of_the_ranges_are_refused(encoded: Encoded, fake: Card) -> None:
    found = encoded("snn")
    fake.graph = (found.bundle / GRAPH).read_bytes()
    execution = Execution(Library(sys.modules["tensorrt"], "TensorRT"), b"")
    feed = random_feed(found.run.modalities, 33, np.random.default_rng(0))
    with pytest.raises(ExportError, match=r"the engine does not take \w+ of shape \(33, "):
        execution.run(feed)


def test_without_a_card_it_says_so(rtx: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = fake_tensorrt(rtx, monkeypatch)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(tensorrt_run, "has_card", lambda: False)
    with pytest.raises(ExportError, match=r"needs a GPU that torch can use, found none: .*--tensorrt-check does"):
        ready()
    with pytest.raises(ExportError, match="needs a GPU that torch can use"):
        Execution(rtx, b"")
    with pytest.raises(ExportError, match="needs a GPU that torch can use"):
        card()


class Shifted:
    """What the graph says, and something more."""

    def __init__(self, session: Any, change: Callable[[dict[str, Any]], object]) -> None:
        self._session, self._change = session, change

    def run(self, feed: Feed) -> dict[str, Any]:
        names = [node.name for node in self._session.get_outputs()]
        found = dict(zip(names, self._session.run(names, feed), strict=True))
        self._change(found)
        return found


def test_a_proof_counts_ties_and_refuses_other_shapes_and_numbers_that_are_none(encoded: Encoded) -> None:
    found = encoded("snn")
    session = load(found.bundle / GRAPH)
    feeds = known(found.bundle, found.run.modalities, EngineOptions())
    samples = sum(len(feed["present"]) for feed in feeds)
    equal = prove(Shifted(session, lambda outputs: None), session, feeds, "fp32", 32)
    assert equal == Proof(samples, 0.0, TOLERANCES["fp32"], 0)

    def cut(outputs: dict[str, Any]) -> None:
        outputs["logits"] = outputs["logits"][:, :2]

    def spoil(outputs: dict[str, Any]) -> None:
        outputs["shift_genomics"] = outputs["shift_genomics"] * np.nan

    def swap(outputs: dict[str, Any]) -> None:
        outputs["logits"] = outputs["logits"][:, ::-1] * 1e-3

    with pytest.raises(ValueMismatch, match=r"logits: the graph gives \(1, 3\), the engine \(1, 2\)"):
        prove(Shifted(session, cut), session, feeds, "fp32", 32)
    with pytest.raises(ValueMismatch, match="found inf in shift_genomics"):
        prove(Shifted(session, spoil), session, feeds, "bf16", 32)
    with pytest.raises(ValueMismatch, match=r"at most 0\.05, found 0"):
        prove(Shifted(session, swap), session, feeds, "bf16", 32)


def test_batches_are_cut_to_what_an_engine_takes() -> None:
    feed = {"present": np.ones((7, 2), np.bool_), "x": np.arange(7)}
    assert [one["x"].tolist() for one in parts([feed], 3)] == [[0, 1, 2], [3, 4, 5], [6]]
