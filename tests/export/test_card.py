"""The model card: every figure in it is computed again from the run's scores."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from bundle.answer import softmax
from export.calibrate import Measured, Wanted, measure
from export.card import card
from tests.export.runs import ENOUGH, make_run
from training.checkpoint import Checkpoint, read
from training.datasets.table import Table
from training.evaluate import Scores
from training.measures.calibration import CalibrationFigures, calibration_figures
from training.measures.contributions import class_contributions, deletion
from training.measures.improvement import improvements
from training.measures.intervals import Interval, accuracy_interval
from training.measures.macro_f1 import macro_f1_interval
from training.measures.selective import area_interval, risk_coverage
from training.measures.verdict import verdict

TABLE = Table.Options(Path("/home/someone/pairs.csv"))
NAMES = ("pathology", "genomics")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return read(make_run(tmp_path_factory.mktemp("runs") / "enough", NAMES, counts=ENOUGH))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return read(make_run(tmp_path_factory.mktemp("runs") / "few", NAMES))


@pytest.fixture(scope="module")
def measured(run: Checkpoint) -> Measured:
    return measure(run, Wanted(abstain_risk=0.1))


def text_of(run: Checkpoint, measured: Measured) -> str:
    found = improvements(measured.test, NAMES, measured.calibration)
    return card("tissue", run, measured, found, 1.25e-7)


@pytest.fixture(scope="module")
def text(run: Checkpoint, measured: Measured) -> str:
    return text_of(run, measured)


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(part: str) -> list[list[str]]:
    """The cells of every table line but rules."""
    lines = [line for line in part.splitlines() if line.startswith("|") and "---" not in line]
    return [[entry.strip() for entry in line.strip("|").split("|")] for line in lines]


def shown(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"


def test_it_names_the_model_its_classes_and_its_data(run: Checkpoint, text: str) -> None:
    assert text.startswith("# tissue\n\nA classifier of pathology + genomics into 3 classes: circle, square, star.\n")
    assert "Method: infobridge; dataset: demo; seed 0." in text
    assert f"Data: 12 train, 240 val, 200 test; {run.provenance['data']['groups']} groups, none in two splits." in text
    assert "at most 1.2e-07 in any probability" in text and "Weights of epoch 2 of 20" in text


def test_the_accuracies_are_those_of_the_scores(measured: Measured, text: str) -> None:
    head, *found = rows(section(text, "Accuracy"))
    assert head == ["split", "samples", "accuracy", "macro-F1", "pathology alone", "genomics alone"]
    for row, name, scores in zip(found, ("test", "validation"), (measured.test, measured.validation), strict=True):
        predicted = scores.logits.argmax(axis=1)
        assert row[:2] == [name, str(len(scores.labels))]
        assert row[2] == shown(accuracy_interval(predicted == scores.labels))
        assert row[2].startswith(f"{accuracy_score(scores.labels, predicted):.3f} ")
        assert row[3] == shown(macro_f1_interval(scores.labels, predicted))
        assert row[3].startswith(f"{f1_score(scores.labels, predicted, average='macro'):.3f} ")
        for at, modality in enumerate(NAMES, 4):
            assert row[at] == shown(accuracy_interval(scores.shares[modality].argmax(axis=1) == scores.labels))


def test_the_verdict_is_that_of_the_scores(run: Checkpoint, measured: Measured, text: str) -> None:
    numbers = {"pathology": 1, "genomics": 2, "pathology+genomics": 3}
    test = {name: measured.test.coalitions[:, number].argmax(axis=1) for name, number in numbers.items()}
    found = verdict(measured.test.labels, test, run.labels, best="pathology")
    assert section(text, "In words").strip().splitlines() == [f"- {sentence}" for sentence in found.sentences]


def calibration_row(title: str, found: CalibrationFigures) -> list[str]:
    error = found.equal_mass
    band = f"{error.band.low:.3f} to {error.band.high:.3f}" + ("" if error.inside else " (outside)")
    shares = [shown(one) for one in (error.debiased, found.brier, found.nll)]
    return [title, f"{found.temperature:.3f}", f"{error.plug_in:.3f}", band, *shares]


def test_the_calibration_of_every_output_is_that_of_the_scores(measured: Measured, text: str) -> None:
    test, temperatures = measured.test, measured.calibration
    part = section(text, "Calibration")
    assert "Temperatures are fitted on 240 validation samples." in part
    expected = []
    for title, logits, temperature in (
        ("all modalities", test.logits, temperatures.fused),
        *((f"{name}, its share", test.shares[name], temperatures.shares[name]) for name in NAMES),
        ("only pathology", test.coalitions[:, 1], temperatures.coalitions["pathology"]),
        ("only genomics", test.coalitions[:, 2], temperatures.coalitions["genomics"]),
    ):
        expected.append(calibration_row(title, calibration_figures(logits, test.labels)))
        expected.append(calibration_row(title, calibration_figures(logits, test.labels, temperature)))
    assert rows(part)[1:11] == expected


def test_the_calibration_of_every_class_is_that_of_the_scores(run: Checkpoint, measured: Measured, text: str) -> None:
    found = calibration_figures(measured.test.logits, measured.test.labels, measured.calibration.fused).classes
    assert len(found) == 3
    for row, one in zip(rows(section(text, "Calibration"))[12:], found, strict=True):
        figures = [f"{value:.3f}" for value in (one.probability, one.share, one.plug_in)]
        assert row[:5] == [run.labels[one.label], str(one.samples), *figures]
        assert row[5].startswith(f"{one.band.low:.3f} to {one.band.high:.3f}") and row[6] == f"{one.debiased:.3f}"
        assert ("outside" in row[5]) == (not one.inside)


def test_the_accuracies_without_modalities_are_those_of_the_scores(measured: Measured, text: str) -> None:
    part = section(text, "Missing modalities")
    given = {"pathology + genomics": ("-", 3), "pathology": ("genomics", 1), "genomics": ("pathology", 2)}
    found = {row[0]: row[1:] for row in rows(part)[1:]}
    for name, (absent, number) in {**given, "nothing": ("pathology + genomics", 0)}.items():
        right = measured.test.coalitions[:, number].argmax(axis=1) == measured.test.labels
        assert found[name] == [absent, shown(accuracy_interval(right))]
    for name in NAMES:
        share = (measured.test.shifts[name] > measured.shifts[name]).mean()
        assert f"{name} {share:.3f}" in part
    assert "a share of 0.01 of inputs" in part


def test_the_contributions_are_those_of_the_scores(run: Checkpoint, measured: Measured, text: str) -> None:
    part = section(text, "Contributions")
    head, *found = rows(part)
    assert head == ["class", "samples", "probability", "baseline", *NAMES]
    for row, one in zip(found, class_contributions(measured.test, NAMES, measured.calibration), strict=True):
        own = measured.test.labels == one.label
        chances = softmax(measured.test.logits[own], measured.calibration.fused)[:, one.label]
        assert row[:2] == [run.labels[one.label], str(own.sum())]
        assert row[2] == shown(one.probability) and row[2].startswith(f"{chances.mean():.3f} ")
        assert row[3:] == [f"{one.baseline:.3f}", *(shown(one.modalities[name], "+") for name in NAMES)]
    dropped = deletion(measured.test, NAMES, measured.calibration)
    each = ", ".join(f"{name} {shown(dropped.modalities[name], '+')}" for name in NAMES)
    assert f"{shown(dropped.pooled, '+')} over all; {each}." in part


def test_the_risk_and_coverage_are_those_of_the_scores(measured: Measured, text: str) -> None:
    part = section(text, "Answering only where confident")
    test = measured.test
    confidences = softmax(test.logits, measured.calibration.fused).max(axis=1)
    right = test.logits.argmax(axis=1) == test.labels
    order = np.argsort(-confidences)
    for row, coverage in zip(rows(part)[1:], (1.0, 0.9, 0.8, 0.5), strict=True):
        assert row == [f"{coverage:.0%}", f"{right[order][: round(coverage * 200)].mean():.3f}"]
    assert f"(AURC): {shown(area_interval(confidences, right))}; " in part
    assert f"; {risk_coverage(confidences, right).excess:.3f} of it" in part
    assert measured.abstain_below is not None and measured.abstention is not None
    answered = confidences >= measured.abstain_below
    assert (
        f"below a probability of {measured.abstain_below:.3f}: on test, {answered.mean():.1%} are answered, "
        f"{(~right)[answered].mean():.3f} of those wrong." in part
    )
    assert f"{measured.abstention.coverage:.1%} are answered and {measured.abstention.risk:.3f} of those wrong" in part


def test_limits_follow_from_facts(run: Checkpoint, measured: Measured, text: str) -> None:
    part = section(text, "Known limits")
    right = measured.test.logits.argmax(axis=1) == measured.test.labels
    assert f"200 samples: its accuracy is known to ± {accuracy_interval(right).margin:.3f}," in part
    assert "Trained without modality dropout" in part
    assert "fewer than 30 test samples" not in part and "Not every probability is calibrated" not in part
    dropout = replace(run, config=replace(run.config, modality_dropout=0.3))
    other = text_of(dropout, measured)
    assert "without modality dropout" not in other and "left out with probability 0.3" in other


def test_what_could_not_be_measured_is_said(few: Checkpoint) -> None:
    text = text_of(few, measure(few, Wanted()))
    assert "Not calibrated: 4 validation samples, at least 50 are needed." in text
    assert "By class: no class has the 30 test samples" in text
    assert "at least 99 samples for the 0.99 quantile of their distances, got 4" in text
    counts = np.bincount(measure(few, Wanted()).test.labels, minlength=3)
    listed = ", ".join(f"{label} ({count})" for label, count in zip(few.labels, counts, strict=True))
    assert f"Classes with fewer than 30 test samples, of which little is known: {listed}." in text
    assert "No threshold of abstention is set" in text
    assert len(rows(section(text, "Calibration"))) == 1 + 5, "one row for each output without a temperature"


def test_calibration_that_was_not_wanted_is_said(run: Checkpoint) -> None:
    part = section(text_of(run, measure(run, Wanted(calibrate=False))), "Calibration")
    assert "Not calibrated: all modalities; " in part and "(it was not asked for)." in part


def test_generated_data_is_said_to_be_so(run: Checkpoint, measured: Measured, text: str) -> None:
    assert "Trained on generated data: it shows how the programs work and knows nothing of the world." in text
    other = replace(run, config=replace(run.config, dataset="table", dataset_options=TABLE))
    assert "generated data" not in text_of(other, measured)


def test_it_says_how_to_make_the_same_again(run: Checkpoint, measured: Measured, text: str) -> None:
    part = section(text, "How to reproduce")
    assert "python -m training.fit --dataset demo --method infobridge" in part
    assert f"(SHA-256) is {run.provenance['data']['fingerprint']}" in part and "The seed is 0;" in part
    for name, version in run.provenance["versions"].items():
        assert f"{name} {version}" in part
    other = replace(run, config=replace(run.config, dataset="table", dataset_options=TABLE))
    told = section(text_of(other, measured), "How to reproduce")
    assert "--dataset.path pairs.csv" in told and "/home" not in told


def test_groups_are_told_where_they_were_measured(run: Checkpoint, measured: Measured, text: str) -> None:
    assert "By group" not in text
    value: dict[str, Any] = {"value": "site | 1", "accuracy": 0.5, "macro_f1": 0.25, "samples": 40, "small": False}
    small = {**value, "value": "two", "samples": 3, "small": True, "interval": [0.1, 0.9]}
    found: dict[str, Any] = {"values": [{**value, "interval": [0.25, 0.75]}, small], "worst": "site | 1"}
    metrics = {**run.metrics, "groups": {"site": {"test": found, "validation": found}}}
    part = section(text_of(replace(run, metrics=metrics), measured), "By group, on test")
    assert "| site \\| 1 | 40 | 0.500 (0.250 to 0.750) | 0.250 |" in part
    assert "| two (too few to say) | 3 | 0.500 (0.100 to 0.900) | 0.250 |" in part
    assert "Worst: site \\| 1." in part and "may be chance" not in part
    found["values"][0]["interval"] = [0.25, 0.999]
    assert "\\| 1. This may be chance" in text_of(replace(run, metrics=metrics), measured)


def test_samples_in_groups_have_wider_intervals_and_are_said_to_be(run: Checkpoint, measured: Measured) -> None:
    def grouped(scores: Scores) -> Scores:
        return replace(scores, groups=np.arange(len(scores.labels)) // 20)

    other = replace(measured, test=grouped(measured.test), validation=grouped(measured.validation))
    text = text_of(run, other)
    assert "95 % intervals, over groups." in text and "The test set has 200 samples in 10 groups:" in text
    right = other.test.logits.argmax(axis=1) == other.test.labels
    assert rows(section(text, "Accuracy"))[1][2] == shown(accuracy_interval(right, other.test.groups))


def test_no_number_in_it_is_not_a_number(text: str) -> None:
    assert not re.search(r"\b(nan|inf|None)\b", text)
