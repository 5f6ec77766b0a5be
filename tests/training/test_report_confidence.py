"""What the report says of confidences and modalities, against naive computations from a run's scores."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState, GradientState

from bundle.manifest import Calibration
from tests.training.tables import CLASSES, GENES, Row, write_csv
from training import fit as program
from training.evaluate import Scores
from training.measures.missing import QUANTILE
from training.measures.outputs import outputs
from training.measures.temperature import fit_temperature
from training.measures.temperatures import Temperatures
from training.report import main
from training.reporting.from_calibration import sections
from training.reporting.from_corruptions import shift_section, thresholds
from training.reporting.from_modalities import balance_section, contribution_section, deletion_section, missing_section
from training.reporting.page import Page, Section, measured
from training.reporting.plain import plain
from training.reporting.run import Finished, read
from training.reporting.style import DARK, LIGHT, render

WORDS = {"cat": "purr whisker", "dog": "bark fetch", "owl": "hoot night"}


def rows(count: int = 480) -> list[Row]:
    """Texts and genes that both tell the class, but not always; enough of them for temperatures and thresholds."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        label = CLASSES[number % 3]
        said = label if generator.random() < 0.8 else CLASSES[int(generator.integers(3))]
        genes = generator.normal(number % 3, 1.2, GENES)
        row = {"label": label, "text": f"the {WORDS[said]} of number {number}", "group": f"series {number // 2}"}
        row |= {f"gene_{gene}": f"{value:.4f}" for gene, value in enumerate(genes)}
        found.append(row | {"split": ("train", "val", "test", "test")[number // 6 % 4]})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its report."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    place = tmp_path_factory.mktemp("confident")
    table = write_csv(place / "table.csv", rows())
    options = "--device cpu --epochs 4 --batch-size 16 --method joint --text.encoder.width 8 --text.encoder.layers 1"
    options += " --text.encoder.heads 2 --genomics.encoder.widths 8 8 --modality-dropout 0.2 --learning-rate 0.01"
    named = (
        "--dataset",
        "table",
        "--dataset.path",
        str(table),
        "--dataset.group",
        "group",
        "--out",
        str(place / "run"),
    )
    assert program.main([*named, *options.split()]) == 0
    assert main([str(place / "run")]) == 0
    return place / "run"


@pytest.fixture
def run(folder: Path) -> Finished:
    return read(folder)


@pytest.fixture
def numbers(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report" / "measured.json").read_text("utf-8"))
    return found["sections"]  # type: ignore[no-any-return]


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    values = np.exp(logits.astype(float) / temperature)
    return np.asarray(values / values.sum(axis=-1, keepdims=True))


def test_every_figures_numbers_are_kept(folder: Path, numbers: dict[str, Any]) -> None:
    drawn = {path.stem for path in (folder / "report" / "figures").iterdir()}
    assert drawn - {"embedding"} <= set(numbers)
    wanted = {"calibration", "calibration-by-class", "coverage", "missing", "contributions", "deletion", "shift"}
    assert wanted | {"corruptions", "balance", "accuracy", "gradients", "confidence"} <= drawn


def test_the_verdict_stands_at_the_top(folder: Path, run: Finished) -> None:
    page = (folder / "report" / "report.html").read_text("utf-8")
    kept = json.loads((folder / "report" / "measured.json").read_text("utf-8"))["verdict"]
    assert kept["sentences"] == list(run.checkpoint.verdict) and page.index("In words") < page.index("<figure>")
    assert page.count("<li>") == len(run.checkpoint.verdict) >= 3


def test_temperatures_are_fitted_on_validation_and_measured_on_test(run: Finished, numbers: dict[str, Any]) -> None:
    validation, test = run.scores["val"], run.scores["test"]
    found = {one["output"]: one for one in numbers["calibration"]["outputs"]}
    assert list(found) == ["all modalities", "text, its share", "genomics, its share", "only text", "only genomics"]
    given = {"all modalities": (validation.logits, test.logits)}
    given |= {f"{name}, its share": (validation.shares[name], test.shares[name]) for name in test.shares}
    for name, (learned, held) in given.items():
        temperature = fit_temperature(learned, validation.labels)
        assert found[name]["after"]["temperature"] == pytest.approx(temperature)
        for when, value in (("before", 1.0), ("after", temperature)):
            said = softmax(held, value)
            nll = -np.log(said[np.arange(len(said)), test.labels]).mean()
            assert found[name][when]["nll"]["value"] == pytest.approx(nll, rel=1e-6)
            assert found[name][when]["confidence"] == pytest.approx(said.max(axis=1).mean(), rel=1e-6)
            bins = found[name][when]["reliability_mass"]
            error = sum(one["samples"] * abs(one["confidence"] - one["accuracy"]) for one in bins) / len(said)
            assert found[name][when]["equal_mass"]["plug_in"] == pytest.approx(error)
            assert sum(one["samples"] for one in bins) == len(said)


def test_what_small_samples_show_is_said(run: Finished, folder: Path, numbers: dict[str, Any]) -> None:
    band = numbers["calibration"]["outputs"][0]["after"]["equal_mass"]["band"]
    page = (folder / "report" / "report.html").read_text("utf-8")
    assert f"with these {len(run.scores['test'].labels)} samples" in page
    assert f"would show {band['low']:.3f} to {band['high']:.3f}" in page


def test_curves_of_risk_are_those_of_calibrated_confidences(run: Finished, numbers: dict[str, Any]) -> None:
    test = run.scores["test"]
    temperature = fit_temperature(run.scores["val"].logits, run.scores["val"].labels)
    confidences = softmax(test.logits, temperature).max(axis=1)
    right = test.logits.argmax(axis=1) == test.labels
    order = np.argsort(-confidences, kind="stable")
    risks = [float((~right[order[: count + 1]]).mean()) for count in range(len(order))]
    assert numbers["coverage"]["fused"]["curve"]["area"] == pytest.approx(np.mean(risks), abs=1e-3)
    assert set(numbers["coverage"]) == {"fused", "text", "genomics"}


def test_contributions_of_a_class_sum_to_what_it_is_given(run: Finished, numbers: dict[str, Any]) -> None:
    validation, test = run.scores["val"], run.scores["test"]
    values = np.stack(
        [
            softmax(test.coalitions[:, k], fit_temperature(validation.coalitions[:, k], validation.labels))
            for k in range(4)
        ],
        axis=1,
    )
    for one in numbers["contributions"]:
        label = run.checkpoint.labels.index(one["class"])
        none, text, genes, both = values[test.labels == label][:, :, label].mean(axis=0)
        assert one["samples"] == int((test.labels == label).sum())
        assert one["modalities"]["text"]["value"] == pytest.approx(((text - none) + (both - genes)) / 2, abs=1e-5)
        assert one["modalities"]["genomics"]["value"] == pytest.approx(((genes - none) + (both - text)) / 2, abs=1e-5)
        assert one["probability"]["value"] == pytest.approx(both, abs=1e-5)
        assert one["baseline"] == pytest.approx(none, abs=1e-5)


def test_accuracies_without_modalities_are_the_coalitions(run: Finished, numbers: dict[str, Any]) -> None:
    test = run.scores["test"]
    for number, name in enumerate(("", "text", "genomics", "text+genomics")):
        accuracy = (test.coalitions[:, number].argmax(axis=1) == test.labels).mean()
        assert numbers["missing"][name]["value"] == pytest.approx(accuracy)


def test_thresholds_are_of_validation_and_what_is_beyond_of_test(run: Finished, numbers: dict[str, Any]) -> None:
    for name in ("text", "genomics"):
        distances = np.sort(run.scores["val"].shifts[name])
        expected = distances[int(np.ceil((len(distances) + 1) * QUANTILE)) - 1]
        assert numbers["shift"]["thresholds"][name] == pytest.approx(float(expected))
        beyond = (run.scores["test"].shifts[name] > expected).mean()
        assert numbers["shift"]["beyond"][name] == pytest.approx(float(beyond))


def test_corruptions_are_judged_by_temperature_and_thresholds(run: Finished, numbers: dict[str, Any]) -> None:
    test, first = run.scores["test"], numbers["corruptions"][0]["standings"][0]
    assert len(numbers["corruptions"]) == 6
    assert first["accuracy"]["value"] == pytest.approx(run.checkpoint.metrics["test"]["accuracy"])
    said = softmax(test.logits, fit_temperature(run.scores["val"].logits, run.scores["val"].labels)).max(axis=1)
    assert first["confidence"] == pytest.approx(said.mean(), abs=1e-5)
    limits, _ = thresholds(run)
    flags = np.any([test.shifts[name] > limit for name, limit in limits.items()], axis=0)
    assert first["unusual"] == pytest.approx(flags.mean())


def few(run: Finished) -> Finished:
    """The same with so few samples that nothing can be fitted."""

    def cut(scores: Scores) -> Scores:
        by_name: dict[str, Any] = {
            kind: {name: values[:9] for name, values in getattr(scores, kind).items()}
            for kind in ("shares", "shifts", "deletions")
        }
        arrays = {kind: getattr(scores, kind)[:9] for kind in ("labels", "samples", "logits", "coalitions")}
        return replace(scores, **arrays, **by_name, groups=None)

    return replace(run, scores={split: cut(scores) for split, scores in run.scores.items()})


def test_few_samples_are_told_what_they_cannot_show(run: Finished) -> None:
    small = few(run)
    assert isinstance(small.temperatures, Temperatures) and small.temperatures.calibration == Calibration()
    assert len(small.temperatures.refused) == len(outputs(("text", "genomics")))
    found = sections(small)
    assert "Without a temperature: all modalities" in found["calibration"].text
    assert "expected at least 50 samples to fit a temperature, got 9" in found["calibration"].text
    assert "No class has the 30 test samples" in found["calibration-by-class"].missing
    distances = shift_section(small)
    assert "There is no threshold: expected at least 99 samples" in distances.text
    made = (found["calibration"], found["coverage"], distances, missing_section(small), contribution_section(small))
    for section in (*made, deletion_section(small)):
        assert section.draw is not None
        assert all(render(section.draw, theme).startswith(b"\x89PNG") for theme in (LIGHT, DARK))


def test_miscalibration_is_found_outside_the_band(run: Finished) -> None:
    test = run.scores["test"]
    sure = replace(run, scores={**run.scores, "test": replace(test, logits=20 * test.logits)})
    found = sections(sure)["calibration"]
    assert "Outside it: all modalities" in found.text
    assert found.table is not None and found.table.rows[0][4].endswith(", outside")


def test_older_runs_say_what_they_lack(run: Finished) -> None:
    bare = replace(
        run,
        history=[replace(epoch, gradient_shares={}) for epoch in run.history],
        scores={split: replace(one, deletions={}) for split, one in run.scores.items()},
    )
    assert "no gradient shares" in balance_section(bare).missing
    assert "no deletions" in deletion_section(bare).missing


def test_corruptions_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    assert main([str(folder), "--no-corruptions", "--to", str(tmp_path / "to")]) == 0
    assert "Left out, as asked for (--no-corruptions)." in (tmp_path / "to" / "report.html").read_text("utf-8")
    assert "corruptions" not in json.loads((tmp_path / "to" / "measured.json").read_text("utf-8"))["sections"]


def test_numbers_become_json(tmp_path: Path) -> None:
    value = {("a", "b"): np.float32(0.5), "c": [float("nan"), np.arange(2)], "d": Calibration(2.0), "e": None}
    found = plain(value)
    assert found["a – b"] == 0.5 and found["c"] == [None, [0, 1]] and found["d"]["fused"] == 2.0
    json.dumps(found, allow_nan=False)
    page = Page("title", [("Run", "here")], [Section("one", "One", "", missing="Nothing.")])
    assert measured(page) == {"title": "title", "facts": {"Run": "here"}, "verdict": None, "sections": {}}
