"""Averaging over what belongs together, and the areas under curves: naive loops, and a run on patches."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.datasets.gbmlgg_layout import gbmlgg, invented, patches
from tests.training.tables import QUICK
from training import scoring
from training.averaged import average, averaged, main, measure
from training.errors import ConfigError, DataError
from training.evaluate import Scores
from training.fit import main as fit
from training.measures.micro_auc import micro_auc_of
from training.reporting import run as reporting


def drawn(count: int, classes: int = 3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    generator = np.random.default_rng(count)
    labels = generator.integers(0, classes, count)
    raw = generator.uniform(0, 1, (count, classes)) + 0.4 * (labels[:, None] == np.arange(classes))
    return raw / raw.sum(axis=1, keepdims=True), labels


def area(wanted: list[bool], scores: list[float]) -> float:
    """The share of pairs of a right and a wrong one in which the right one has the higher score."""
    rights = [score for want, score in zip(wanted, scores, strict=True) if want]
    wrongs = [score for want, score in zip(wanted, scores, strict=True) if not want]
    wins = sum(float(right > wrong) + 0.5 * float(right == wrong) for right in rights for wrong in wrongs)
    return wins / (len(rights) * len(wrongs))


def test_figures_are_those_of_naive_loops() -> None:
    probabilities, labels = drawn(60)
    found = measure(probabilities, labels)
    each = [area([label == number for label in labels], probabilities[:, number].tolist()) for number in range(3)]
    flat = [
        (bool(labels[unit] == number), float(probabilities[unit, number])) for unit in range(60) for number in range(3)
    ]
    assert found.macro_auc == pytest.approx(np.mean(each))
    assert found.micro_auc == pytest.approx(area([want for want, _ in flat], [score for _, score in flat]))
    predicted = [int(np.argmax(row)) for row in probabilities]
    assert found.accuracy == pytest.approx(np.mean([one == two for one, two in zip(predicted, labels, strict=True)]))
    for number in range(3):
        right = sum(one == number == two for one, two in zip(predicted, labels, strict=True))
        expected = 2 * right / (predicted.count(number) + labels.tolist().count(number))
        agreed = np.mean([(one == number) == (two == number) for one, two in zip(predicted, labels, strict=True)])
        assert (found.f1[number], found.against_rest[number]) == pytest.approx((expected, agreed))
    assert found.units == 60 and found.macro_f1 == pytest.approx(np.mean(found.f1))


def test_a_class_that_the_split_lacks_has_no_area() -> None:
    probabilities, labels = drawn(40)
    labels[labels == 2] = 1
    each = [area([label == number for label in labels], probabilities[:, number].tolist()) for number in range(2)]
    assert measure(probabilities, labels).macro_auc == pytest.approx(np.mean(each))


def test_units_are_averaged_wherever_their_samples_stand() -> None:
    probabilities, _ = drawn(30)
    units = np.random.default_rng(1).integers(0, 6, 30) * 10
    labels = units // 10 % 3
    means, own = average(probabilities, labels, units)
    for row, unit in enumerate(sorted(set(units.tolist()))):
        members = [probabilities[index] for index in range(30) if units[index] == unit]
        assert np.allclose(means[row], sum(members) / len(members)) and own[row] == unit // 10 % 3


def test_different_labels_in_a_unit_are_refused() -> None:
    with pytest.raises(DataError, match="expected one class in all samples that belong together"):
        average(np.full((2, 2), 0.5), np.array([0, 1]), np.array([4, 4]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on patches."""
    folder = tmp_path_factory.mktemp("averaged")
    patches(gbmlgg(folder / "data", invented()))
    options = [*QUICK, "--method", "joint", "--pathology.encoder", "convolutional", "--dataset.pictures", "patches"]
    named = ["--dataset", "gbmlgg", "--dataset.path", str(folder / "data"), "--out", str(folder / "run")]
    assert fit([*named, *options]) == 0
    return folder / "run"


def test_nine_patches_give_one_answer_for_a_region(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = scoring.load(run / "scores.safetensors")["test"]
    apart, together = averaged(run, None)["test"], averaged(run, "region")["test"]
    assert apart.units == len(scores.labels) == 9 * together.units
    assert apart.accuracy == pytest.approx(np.mean(scores.logits.argmax(axis=1) == scores.labels))
    assert averaged(run, "group")["test"].units < together.units, "patients"
    assert main([str(run), "--over", "region"]) == 0
    said = capsys.readouterr().out
    assert f"test, {together.units} regions: accuracy {together.accuracy:.3f}" in said and "grade IV: F1" in said


def test_a_run_of_this_dataset_states_its_micro_auc_and_so_does_its_report(run: Path) -> None:
    finished = reporting.read(run)
    table = reporting.metrics(finished)
    column = table.columns.index("micro-AUC")
    for row, split in zip(table.rows, ("val", "test"), strict=True):
        area = micro_auc_of(finished.scores[split])
        assert finished.checkpoint.metrics[row[0]]["micro_auc"] == area == averaged(run, None)[split].micro_auc
        assert row[column] == f"{100 * area:.1f}"


def test_what_a_diverged_training_gave_is_no_decision() -> None:
    logits = np.array([[2.0, 0.0], [np.nan, 0.0], [0.0, 1.0]], dtype=np.float32)
    assert micro_auc_of(Scores(np.array([0, 1, 1]), np.arange(3), logits, {})) == pytest.approx(6.5 / 9)


def test_another_column_and_another_folder_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"no column 'slide'; it has .*region"):
        averaged(run, "slide")
    assert main([str(tmp_path), "--over", "region"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
