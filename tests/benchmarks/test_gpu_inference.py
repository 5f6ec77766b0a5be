"""The benchmark of inference on a GPU, on a processor: its graphs compute the same, and nothing wrong is measured."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from benchmarks import gpu_inference
from benchmarks.gpu.attention import Split
from benchmarks.gpu.measure import BASE, Measured, Plan, measure
from benchmarks.gpu.pairings import Pairing, pairings
from benchmarks.gpu.peak import operations, sheet
from benchmarks.gpu.tables import goals, table
from benchmarks.gpu.worker import Lost, Remote, relative_error
from bundle.runtime import onnxruntime
from export.fusing import Fused
from export.half import to_half
from export.to_onnx import to_onnx


@pytest.fixture(scope="module")
def pairing() -> Pairing:
    return pairings(tiny=True)["image-text"]


@pytest.fixture(scope="module")
def exported(pairing: Pairing) -> onnx.ModelProto:
    return to_onnx(pairing.graph(), pairing.declaration, pairing.inputs(2, 0))


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def error(model: onnx.ModelProto, pairing: Pairing) -> float:
    inputs = pairing.inputs(3, 7)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {name: values.numpy() for name, values in zip(pairing.declaration.inputs, inputs, strict=True)}
    with torch.no_grad():
        expected = [values.numpy() for values in pairing.graph()(*inputs)]
    return relative_error(session.run(None, feed), expected)


def test_split_attention_has_one_bias_less_for_each_of_keys_and_values(
    pairing: Pairing, exported: onnx.ModelProto
) -> None:
    fused = Fused(exported)
    split = Split(fused).model
    assert (kinds(split).count("MultiHeadAttention"), kinds(split).count("Attention")) == (4, 0)
    assert kinds(split).count("Add") == kinds(fused.model).count("Add") + 4, "those of the queries"
    assert error(split, pairing) < 1e-5
    assert kinds(fused.model).count("Attention") == 4, "the packed one is as it was"
    to_half(split, tuple(pairing.modalities), "fp16")
    types = {tensor.name: tensor.data_type for tensor in split.graph.initializer}
    norms = [node for node in split.graph.node if node.op_type == "SkipLayerNormalization"]
    assert len(norms) == 8 and all(types[node.input[-1]] == onnx.TensorProto.FLOAT16 for node in norms)
    assert 1e-6 < error(split, pairing) < 1e-2


def test_relative_error_lets_nothing_pass_that_is_not_finite() -> None:
    good = [np.ones(3, np.float32), np.ones(2, np.float32)]
    assert relative_error(good, good) == 0.0
    for wrong in (np.nan, np.inf):
        assert relative_error([good[0], np.array([1, wrong], np.float32)], good) == np.inf
    assert relative_error([good[0], np.ones(1, np.float32)], good) == np.inf
    nothing = [np.zeros(3, np.float32), good[1]]
    assert relative_error(nothing, nothing) == np.inf
    assert relative_error(good, [good[0], np.array([1, np.nan], np.float32)]) != relative_error(good, good)


def test_operations_of_a_vision_transformer_are_counted() -> None:
    tokens, width = 5, 64
    layer = 12 * width**2 * tokens + 2 * tokens**2 * width
    patches, behind = 4 * 3 * 16**2 * width, width * (101 + 101 + width)
    assert operations(pairings(tiny=True)["vit"]) == pytest.approx(2 * (2 * layer + patches + behind), rel=0.02)


def test_it_runs_on_a_processor_and_tells_every_variant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    given = "--device cpu --tiny --here --pairings vit --batches 1 2 --rounds 1 --turn 0 --families eager ort-32 ort-16"
    code = gpu_inference.main([*given.split(), "--out", str(out)])
    told = capsys.readouterr().out
    found = json.loads(out.read_text("utf-8"))
    assert code in (0, 1) and "not measured" not in told.split("goal")[0]
    titles = {entry["title"] for entry in found["variants"]}
    assert titles >= {BASE, "ORT fp32", "ORT fp16", "ORT packed attention fp16", "ORT fused fp16"}
    assert all(entry["seconds"] and entry["with_copies"] and not entry["failed"] for entry in found["variants"])


class Scripted:
    """A holder that gives what it is told to."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.title = answers, "scripted"

    def ask(self, what: str, *given: Any) -> None:
        self.found = self.answers[what]

    def answer(self, patience: float) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def stop(self) -> None:
        pass


def scripted(**changed: Any) -> Scripted:
    titles = {"ORT fp32": "fp32"}
    answers = {
        "make": titles,
        "open": dict.fromkeys(titles, ""),
        "check": [np.ones((1, 2))],
        "time": [1.0],
        "close": None,
    }
    return Scripted(answers | changed)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"check": [np.full((1, 2), np.nan)]}, "wrong: relative error inf"),
        ({"check": [np.full((1, 2), 1.1)]}, "wrong: relative error 0.1"),
        ({"make": Lost("no answer")}, "no answer"),
        ({"open": Lost("ended")}, "ended"),
        ({"open": {"ORT fp32": "no memory"}}, "no memory"),
        ({"time": RuntimeError("went wrong")}, "went wrong"),
    ],
)
def test_what_fails_is_told_and_the_rest_is_measured(changed: dict[str, Any], reason: str) -> None:
    base = scripted(make={BASE: "fp32"}, open={BASE: ""}, operations=5.0)
    holders = {"eager": base, "ort-32": scripted(**changed)}
    plan = Plan(list(holders), [1], [1], 2, 0.0, float("inf"), float("inf"))
    [(_, own, entries)] = measure(lambda name, family: holders[family], ["image-text"], plan)
    good = [entry for entry in entries if not entry.failed]
    assert own == 5.0 and [entry.title for entry in good] == [BASE] and good[0].seconds == [1.0, 1.0]
    [bad] = [entry for entry in entries if entry.failed]
    assert bad.failed == reason


def test_a_process_that_ends_is_told(tmp_path: Path) -> None:
    holder = Remote("no such pairing", "eager", "cpu", True, tmp_path)
    holder.ask("make", [1])
    with pytest.raises(Lost, match="its process ended"):
        holder.answer(100.0)
    holder.stop()


def test_goals_and_ratios() -> None:
    def entry(title: str, seconds: float, pairing: str = "image-text", batch: int = 1) -> Measured:
        kind = title.rsplit(maxsplit=1)[1]
        return Measured(pairing, batch, title, kind, "", 0.0, 1.0, [seconds], [2 * seconds])

    entries = [entry(BASE, 1.0), entry("ORT fp32", 0.6), entry("ORT fp16", 0.25)]
    large = entry("ORT fp16", 0.5, "vit", 128)
    found = goals([*entries, large], {"vit": 10.0}, {"fp16": 5000.0})
    assert [met for _, met in found] == [False, True, True]
    assert "1.67 times" in found[0][0] and "4.00 times" in found[1][0] and "51.2% of the peak" in found[2][0]
    rows = table(entries, 10.0, {"fp32": 100.0, "fp16": 100.0}).splitlines()
    assert "| 250.000 | 4.00 | 4 | 0.0 | 40.0% | 500.000 | 4.00 |" in rows[-1]


def test_data_sheets() -> None:
    assert sheet("NVIDIA H100 80GB HBM3")["fp16"] == 989.4e12
    assert sheet("another") == {}


def test_without_eager_there_is_nothing_to_compare_with(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu_inference.main(["--families", "ort-32"])
    assert "eager is what all others are compared with" in capsys.readouterr().err
