"""What is said of probabilities, against scikit-learn, torchmetrics and naive loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from bundle.answer import softmax
from tests.training.calibrated import answers, classified
from training.errors import DataError
from training.measures.binning import equal_mass, equal_width
from training.measures.calibration import (
    BINS,
    LEAST,
    brier,
    calibration_figures,
    class_calibration,
    negative_log_likelihood,
)
from training.measures.calibration_error import point_errors
from training.measures.reliability import reliability


def test_likelihood_and_brier_score_are_those_of_scikit_learn() -> None:
    logits, labels = classified(300, 5, np.random.default_rng(0))
    probabilities = softmax(logits, 1.7)
    mean = negative_log_likelihood(logits, labels, 1.7).mean()
    assert mean == pytest.approx(log_loss(labels, probabilities, labels=range(5)))
    scores = brier(probabilities, labels)
    expected = brier_score_loss(labels, probabilities, labels=list(range(5)), scale_by_half=False)
    assert scores.mean() == pytest.approx(expected)


def test_a_sure_mistake_has_a_finite_likelihood() -> None:
    found = negative_log_likelihood(np.array([[2000.0, 0.0]]), np.array([1]))
    assert found.tolist() == [2000.0]


@pytest.mark.parametrize("bins", [5, 15])
def test_equal_width_is_that_of_torchmetrics(bins: int) -> None:
    logits, labels = classified(400, 6, np.random.default_rng(1))
    probabilities = softmax(logits)
    right = probabilities.argmax(axis=1) == labels
    expected = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(labels), 6, n_bins=bins)
    assert point_errors(probabilities.max(axis=1), right, equal_width(bins))[0] == pytest.approx(float(expected))


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bins_are_those_of_scikit_learn(strategy: str) -> None:
    confidences, right = answers(500, np.random.default_rng(2))
    confidences = np.round(confidences, 2)  # with ties, some on an edge
    edges = equal_width(10) if strategy == "uniform" else equal_mass(confidences, 10)
    found = reliability(confidences, right, edges)
    accuracy, confidence = calibration_curve(right, confidences, n_bins=10, strategy=strategy)
    assert [one.accuracy for one in found] == pytest.approx(accuracy)
    assert [one.confidence for one in found] == pytest.approx(confidence)
    assert sum(one.samples for one in found) == 500
    error = sum(one.samples / 500 * abs(one.accuracy - one.confidence) for one in found)
    assert point_errors(confidences, right, edges)[0] == pytest.approx(error)


def test_bars_hold_what_a_calibrated_model_shows_in_a_bin() -> None:
    generator, inside, all_of_them = np.random.default_rng(3), 0, 0
    for trial in range(40):
        confidences, right = answers(300, generator)
        for one in reliability(confidences, right, equal_mass(confidences, 10), 300, trial):
            inside += one.low <= one.accuracy <= one.high
            all_of_them += 1
    assert 0.93 <= inside / all_of_them <= 0.99
    confidences, right = answers(3000, generator, sharpness=0.3)
    outside = [one for one in reliability(confidences, right, equal_mass(confidences, 10)) if one.accuracy < one.low]
    assert len(outside) >= 4


def test_all_figures_of_one_output_are_of_its_tempered_probabilities() -> None:
    logits, labels = classified(400, 4, np.random.default_rng(4))
    found = calibration_figures(3 * logits, labels, 3.0)
    probabilities = softmax(logits)
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    assert (found.samples, found.temperature) == (400, 3.0)
    assert found.accuracy.value == right.mean() and found.accuracy.low < right.mean() < found.accuracy.high
    assert found.confidence == pytest.approx(confidences.mean())
    assert found.nll.value == pytest.approx(log_loss(labels, probabilities, labels=range(4)))
    assert found.nll.low < found.nll.value < found.nll.high and found.brier.low < found.brier.value < found.brier.high
    for error, edges in ((found.equal_mass, equal_mass(confidences, BINS)), (found.equal_width, equal_width(BINS))):
        plug_in, debiased = point_errors(confidences, right, edges)
        assert error.plug_in == pytest.approx(plug_in) and error.debiased.value == pytest.approx(debiased)
        assert error.inside
    for bins, error in ((found.reliability_mass, found.equal_mass), (found.reliability_width, found.equal_width)):
        assert error.plug_in == pytest.approx(sum(b.samples / 400 * abs(b.accuracy - b.confidence) for b in bins))


def test_overconfidence_leaves_the_band_and_its_temperature_brings_it_back() -> None:
    logits, labels = classified(400, 4, np.random.default_rng(5))
    before, after = (calibration_figures(3 * logits, labels, temperature) for temperature in (1.0, 3.0))
    for name in ("equal_mass", "equal_width"):
        assert not getattr(before, name).inside and getattr(before, name).debiased.low > 0
        assert getattr(before, name).chance < 0.01
        assert getattr(after, name).inside and getattr(after, name).debiased.low == 0
        assert getattr(after, name).chance > 0.025
    assert after.accuracy == before.accuracy
    assert after.nll.value < before.nll.value and after.brier.value < before.brier.value


def test_it_is_the_same_each_time() -> None:
    logits, labels = classified(200, 3, np.random.default_rng(6))
    assert calibration_figures(logits, labels) == calibration_figures(logits, labels)


def test_each_class_is_measured_against_the_others() -> None:
    logits, labels = classified(600, 4, np.random.default_rng(7))
    labels[labels == 3] = np.where(np.cumsum(labels == 3)[labels == 3] < LEAST, 3, 0)
    probabilities = softmax(logits)
    found = class_calibration(probabilities, labels)
    assert [one.label for one in found] == [0, 1, 2]
    for one in found:
        is_so, own = labels == one.label, probabilities[:, one.label]
        assert one.samples == is_so.sum() and one.share == pytest.approx(is_so.mean())
        assert one.probability == pytest.approx(own.mean())
        assert one.brier == pytest.approx(brier_score_loss(is_so, own))
        plug_in, debiased = point_errors(own, is_so, equal_mass(own, BINS))
        assert (one.plug_in, one.debiased) == pytest.approx((plug_in, debiased))
    assert [one.inside for one in found] == [False, True, True], "the labels of class 3 were given to class 0"


def test_a_class_that_all_samples_are_of_is_not_measured() -> None:
    probabilities = softmax(np.random.default_rng(8).normal(0, 1, (100, 3)))
    assert class_calibration(probabilities, np.zeros(100, np.int64)) == ()


def test_groups_widen_what_they_hold_alike() -> None:
    generator = np.random.default_rng(9)
    logits, labels = classified(100, 3, generator)
    four = np.repeat(np.arange(100), 4)
    alone = calibration_figures(logits[four], labels[four])
    grouped = calibration_figures(logits[four], labels[four], 1.0, four)
    for name in ("accuracy", "nll", "brier"):
        assert getattr(grouped, name).value == pytest.approx(getattr(alone, name).value)
        assert getattr(grouped, name).margin > 1.6 * getattr(alone, name).margin
    assert grouped.equal_mass.plug_in == pytest.approx(alone.equal_mass.plug_in)
    assert grouped.equal_mass.debiased.value < alone.equal_mass.debiased.value
    assert replace(grouped, accuracy=alone.accuracy).reliability_mass == alone.reliability_mass


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.array([[0.0, math.nan]]), np.array([[0.0, math.inf]])])
def test_no_samples_or_no_numbers_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(DataError, match="finite logits"):
        calibration_figures(logits, np.zeros(len(logits), np.int64))
