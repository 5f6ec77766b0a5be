"""From a run's scores to what the manifest states: temperatures, expectations, thresholds, and every refusal."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle.answer import softmax
from bundle.manifest import FILE, Calibration, Manifest
from bundle.predictor import Predictor
from export.__main__ import main
from export.calibrate import Measured, Wanted, measure
from export.errors import NotCalibrated
from tests.export.runs import ENOUGH, make_run, scores
from training import scoring
from training.checkpoint import RUN, SCORES, Checkpoint, read
from training.errors import CheckpointError
from training.evaluate import Scores
from training.measures.calibration import calibration_figures
from training.measures.missing import cautious, coalition_accuracies, shift_threshold
from training.measures.temperatures import fit_temperatures

NAMES = ("pathology", "genomics")
Run = Checkpoint


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With enough samples for everything."""
    return read(make_run(tmp_path_factory.mktemp("runs") / "enough", NAMES, counts=ENOUGH))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read(make_run(tmp_path_factory.mktemp("runs") / "few", NAMES))


@pytest.fixture(scope="module")
def measured(run: Run) -> Measured:
    return measure(run, Wanted())


def test_temperatures_are_fitted_on_validation(run: Run, measured: Measured) -> None:
    validation = scoring.load(run.folder / SCORES)["val"]
    answered = cautious(validation, NAMES, measured.shifts)
    assert measured.calibration == fit_temperatures(answered, NAMES).calibration
    assert not np.array_equal(answered.logits, validation.logits), "some lie beyond the thresholds"
    assert measured.calibration.fused > 1.5 and measured.refused == {}
    assert set(measured.calibration.shares) == set(NAMES)
    assert set(measured.calibration.coalitions) == {"", "pathology", "genomics"}


def test_calibration_brings_the_error_down_and_changes_no_answer(measured: Measured) -> None:
    test = measured.test
    before = calibration_figures(test.logits, test.labels)
    after = calibration_figures(test.logits, test.labels, measured.calibration.fused)
    assert after.nll.value < before.nll.value and after.brier.value < before.brier.value
    assert not before.equal_mass.inside and after.equal_mass.inside
    assert after.accuracy == before.accuracy


def test_expectations_are_the_accuracies_on_test(measured: Measured) -> None:
    found = coalition_accuracies(measured.test, NAMES)
    assert list(measured.expectations) == ["", "pathology", "genomics", "pathology+genomics"]
    for name, stated in measured.expectations.items():
        expected = found[name]
        assert (stated.accuracy, stated.low, stated.high) == (expected.value, expected.low, expected.high)
        assert stated.samples == ENOUGH[1]


def test_thresholds_of_distance_are_quantiles_of_validation(run: Run, measured: Measured) -> None:
    for quantile in (0.99, 0.9):
        found = measure(run, Wanted(shift_quantile=quantile))
        for name in NAMES:
            assert found.shifts[name] == shift_threshold(measured.validation.shifts[name], quantile)
            flagged = (measured.validation.shifts[name] > found.shifts[name]).mean()
            assert flagged <= 1 - quantile


def test_too_few_samples_leave_everything_out_and_say_why(few: Run) -> None:
    found = measure(few, Wanted())
    assert found.calibration == Calibration() and found.shifts == {} and found.abstain_below is None
    assert all("at least 50 samples" in reason for reason in found.refused.values())
    assert all("at least 99 samples" in reason for reason in found.unshifted.values())
    assert len(found.expectations) == 4


def test_calibration_that_is_asked_for_and_impossible_is_an_error(few: Run) -> None:
    with pytest.raises(NotCalibrated, match="all modalities: expected at least 50 samples to fit a temperature, got 4"):
        measure(few, Wanted(calibrate=True))


def test_calibration_can_be_left_out(run: Run) -> None:
    found = measure(run, Wanted(calibrate=False))
    assert found.calibration == Calibration()
    assert set(found.refused.values()) == {"it was not asked for"}


def test_abstention_is_stated_as_asked_for(run: Run) -> None:
    assert measure(run, Wanted(abstain_below=0.4)).abstain_below == 0.4


@pytest.mark.parametrize("risk", [0.15, 0.05])
def test_a_risk_chooses_the_threshold_that_answers_most_on_validation(
    run: Run, measured: Measured, risk: float
) -> None:
    found = measure(run, Wanted(abstain_risk=risk))
    validation = measured.validation
    confidences = softmax(validation.logits, measured.calibration.fused).max(axis=1)
    right = validation.logits.argmax(axis=1) == validation.labels
    assert found.abstain_below is not None and found.abstention is not None
    answered = confidences >= found.abstain_below
    assert (~right)[answered].mean() <= risk
    assert found.abstention.coverage == answered.mean()
    lower = [value for value in np.unique(confidences) if value < found.abstain_below]
    assert all((~right)[confidences >= value].mean() > risk for value in lower)
    both = measure(run, Wanted(abstain_below=0.999, abstain_risk=risk))
    assert both.abstain_below == 0.999, "of two thresholds the higher holds"


def rewritten(run: Run, folder: Path, **changed: Scores | None) -> Run:
    """A copy of the run with other scores."""
    copy = Path(shutil.copytree(run.folder, folder / "copy"))
    kept = {**scoring.load(copy / SCORES), **changed}
    scoring.save({split: found for split, found in kept.items() if found is not None}, copy / SCORES)
    return read(copy)


def test_a_risk_that_no_threshold_reaches_is_refused_with_figures(run: Run, measured: Measured, tmp_path: Path) -> None:
    validation = measured.validation
    wrong = (validation.labels + 1) % 3
    most = validation.logits.max(axis=1).argmax()
    logits = validation.logits.copy()
    logits[most] = 40 * np.eye(3)[wrong[most]]
    other = rewritten(run, tmp_path, val=replace(validation, logits=logits))
    with pytest.raises(NotCalibrated) as caught:
        measure(other, Wanted(abstain_risk=0.0))
    curve = [float(part) for part in str(caught.value).replace(",", " ").split() if part.startswith("0.")]
    assert "no threshold reaches it on 240 validation samples; the least is 0." in str(caught.value)
    assert curve[0] < curve[1] and "% are answered" in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(NotCalibrated, match="--abstain-below: expected a share from 0 to 1, got"):
        Wanted(abstain_below=value)
    with pytest.raises(NotCalibrated, match="--abstain-risk: expected a share from 0 to 1, got"):
        Wanted(abstain_risk=value)
    with pytest.raises(NotCalibrated, match="--shift-quantile: expected a share between 0 and 1, got"):
        Wanted(shift_quantile=value)
    with pytest.raises(NotCalibrated, match="--shift-quantile"):
        Wanted(shift_quantile=1.0)


def test_scores_that_are_absent_or_damaged_are_refused(run: Run, tmp_path: Path) -> None:
    copy = read(Path(shutil.copytree(run.folder, tmp_path / "copy")))
    (copy.folder / SCORES).write_bytes(b"no scores")
    with pytest.raises(CheckpointError, match="expected a run's scores"):
        measure(copy, Wanted())
    (copy.folder / SCORES).unlink()
    with pytest.raises(CheckpointError, match=r"expected scores\.safetensors, found none; train the run again"):
        measure(copy, Wanted())


def test_scores_of_another_run_are_refused(run: Run, measured: Measured, tmp_path: Path) -> None:
    others = {
        "no split": None,
        "no samples": scores(NAMES, 0, 1),
        "other modalities": scores(("image", "text"), 200, 1),
        "one more": scores((*NAMES, "text"), 200, 1),
        "other classes": replace(measured.test, coalitions=measured.test.coalitions[:, :, :2]),
        "no distances": replace(measured.test, shifts={}),
        "other figures": scores(NAMES, 200, 77),
    }
    for number, (what, changed) in enumerate(others.items()):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(CheckpointError, match="expected scores") as caught:
            measure(rewritten(run, tmp_path / str(number), test=changed), Wanted())
        assert SCORES in str(caught.value), what


def test_an_export_states_what_was_measured_and_says_so(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run.folder), "--to", str(tmp_path / "bundle"), "--calibrate", "--abstain-risk", "0.1"]) == 0
    printed = capsys.readouterr()
    found = measure(run, Wanted(abstain_risk=0.1))
    manifest = Manifest.read(tmp_path / "bundle")
    assert manifest.calibration == found.calibration and manifest.expectations == found.expectations
    assert (manifest.shifts, manifest.abstain_below) == (found.shifts, found.abstain_below)
    first, second, third, fourth = printed.out.splitlines()
    assert "equal to the trained model within" in first and printed.err == ""
    temperatures = found.calibration
    each = ", ".join(f"{name} {temperatures.shares[name]:.3f}" for name in NAMES)
    assert second.startswith(f"temperature {temperatures.fused:.3f} ({each}) from 240 validation samples; ECE on test ")
    errors = manifest.provenance["export"]["calibration"]["errors"]["all modalities"]
    low, high = errors["calibrated_model"]
    told = f"{errors['before']:.3f} -> {errors['after']:.3f}, where calibrated models have {low:.3f} to {high:.3f}"
    assert second.endswith(told)
    assert f"{found.expectations['genomics'].accuracy:.3f} without pathology" in third
    assert f"{found.expectations['pathology'].accuracy:.3f} without genomics" in third
    assert fourth == f"answers abstain below a probability of {found.abstain_below:.3f}"
    generator = np.random.default_rng(0)
    predictor = Predictor(tmp_path / "bundle")
    sample = {name: modality.example(generator) for name, modality in predictor.modalities.items()}
    whole, part = predictor.predict([sample, {"genomics": sample["genomics"]}])
    assert whole.modalities["genomics"].shift is not None and part.missing == ("pathology",)


def test_an_export_of_few_samples_says_that_it_is_not_calibrated(
    few: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(few.folder), "--to", str(tmp_path / "bundle")]) == 0
    _, second, _, fourth = capsys.readouterr().out.splitlines()
    assert second.startswith("not calibrated (expected at least 50 samples to fit a temperature, got 4): ECE on test ")
    assert fourth.startswith("no threshold of unusual inputs for pathology, genomics: expected at least 99 samples")
    assert Manifest.read(tmp_path / "bundle").calibration == Calibration()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--calibrate", "--calibrate: all modalities: expected at least 50 samples"),
        ("--calibrate --no-calibrate", "contradict one another"),
        ("--abstain-below 2", "--abstain-below: expected a share from 0 to 1, got 2"),
        ("--abstain-risk -1", "--abstain-risk: expected a share from 0 to 1, got -1"),
        ("--shift-quantile 0", "--shift-quantile: expected a share between 0 and 1, got 0"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line_and_leaves_nothing(
    few: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    assert main([str(few.folder), "--to", str(tmp_path / "bundle"), *options.split()]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line
    assert list(tmp_path.iterdir()) == []
    assert (few.folder / RUN).is_file() and not (few.folder / FILE).exists()
