"""Debiased calibration errors, their intervals and the band of calibrated models, by simulation and by naive loops."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import foldnorm

from bundle.answer import softmax
from tests.training.calibrated import answers, classified
from training.measures.binning import equal_mass, equal_width, place
from training.measures.calibration_error import calibrated_errors, calibration_error, point_errors
from training.measures.consistency import drawn_class_hits, drawn_hits
from training.measures.debiasing import debiased, expected_size

BINS = 15
Floats = NDArray[np.float64]


def truth(sharpness: float) -> float:
    """The binned error of very many samples."""
    confidences, right = answers(400_000, np.random.default_rng(99), sharpness)
    return point_errors(confidences, right, equal_mass(confidences, BINS))[0]


def published(confidences: Floats, right: NDArray[np.bool_]) -> float:
    """As Kumar, Liang and Ma (2019): twice the plug-in less its mean over Gaussian shares of right answers."""
    bins = place(confidences, equal_mass(confidences, BINS))
    samples = np.bincount(bins)
    shares, said = (np.bincount(bins, weights=each) / samples for each in (right, confidences))
    sizes = expected_size(shares - said, np.sqrt(shares * (1 - shares) / samples))
    return max(0.0, float(samples @ (2 * abs(shares - said) - sizes)) / len(bins))


def test_the_size_of_a_noisy_gap_is_a_folded_normals_mean() -> None:
    gaps, noise = np.array([0.0, 0.1, -0.3, 0.2, -0.2]), np.array([0.1, 0.2, 0.1, 0.0, 1e-300])
    found = expected_size(gaps, noise)
    for index in range(3):
        expected = foldnorm.mean(abs(gaps[index]) / noise[index], scale=noise[index])
        assert found[index] == pytest.approx(expected)
    assert found[3:] == pytest.approx([0.2, 0.2])


def test_gaps_without_noise_are_left_and_noise_alone_is_nothing() -> None:
    weights, gaps = np.full(4, 0.25), np.array([0.1, -0.2, 0.05, 0.0])
    assert float(debiased(weights, gaps, np.zeros(4))) == pytest.approx(0.0875)
    assert float(debiased(weights, gaps, np.full(4, 0.4))) == 0.0
    assert float(debiased(weights, np.zeros(4), np.zeros(4))) == 0.0
    both = debiased(np.stack([weights] * 2), np.stack([gaps] * 2), np.stack([np.zeros(4), np.full(4, 0.4)]))
    assert both.tolist() == pytest.approx([0.0875, 0.0])


def test_it_is_nearer_to_the_truth_than_the_plug_in_and_never_as_far_as_the_published_debiasing() -> None:
    """400 samples, from calibrated to twice overconfident: mean and root mean square of what is off."""
    generator = np.random.default_rng(0)
    bias: dict[str, list[float]] = {"plug_in": [], "debiased": [], "published": []}
    for sharpness in (1.0, 0.75, 0.5):
        true, off = truth(sharpness), []
        for _ in range(300):
            confidences, right = answers(400, generator, sharpness)
            two = point_errors(confidences, right, equal_mass(confidences, BINS))
            off.append([*two, published(confidences, right)])
        strayed = np.asarray(off) - true
        plug_in, ours, _ = np.sqrt((strayed**2).mean(axis=0))
        assert ours < plug_in
        if sharpness == 1.0:
            assert ours < plug_in / 2 and strayed[:, 1].mean() < strayed[:, 0].mean() / 3
        for name, mean in zip(bias, strayed.mean(axis=0), strict=True):
            bias[name].append(abs(float(mean)))
    assert max(bias["debiased"]) < 0.6 * max(bias["published"]) < 0.6 * max(bias["plug_in"])


def test_the_interval_is_that_of_a_naive_pivotal_bootstrap() -> None:
    generator = np.random.default_rng(6)
    confidences, right = answers(250, generator, 0.1)
    edges = equal_mass(confidences, 20)
    plug_in, value = point_errors(confidences, right, edges)
    drawn = (generator.integers(250, size=250) for _ in range(1500))
    strayed = [point_errors(confidences[one], right[one], edges)[1] - plug_in for one in drawn]
    most, least = np.quantile(strayed, (0.975, 0.025))
    found = calibration_error(confidences, right, edges, resamples=4000).debiased
    assert found.value == value and found.low > 0
    assert (found.low, found.high) == pytest.approx((value - most, value - least), abs=0.005)
    assert abs(most + least) > 0.01, "lopsided, so that the sides matter"


@pytest.mark.parametrize("grouped", [False, True])
def test_noise_is_the_spread_of_groups_within_a_bin(grouped: bool) -> None:
    confidences, right = answers(90, np.random.default_rng(7), 0.5)
    groups = np.random.default_rng(8).integers(25, size=90) if grouped else np.arange(90)
    edges = equal_mass(confidences, 4)
    bins, weights, gaps, noise = place(confidences, edges), [], [], []
    for one in range(4):
        inside = bins == one
        residuals, size = right[inside] - confidences[inside], int(inside.sum())
        sums = [(residuals[groups[inside] == each] - residuals.mean()).sum() for each in set(groups[inside].tolist())]
        promised = float((confidences[inside] * (1 - confidences[inside])).mean())
        weights.append(size / 90)
        gaps.append(float(residuals.mean()))
        noise.append(float(np.sqrt(sum(each**2 for each in sums) + promised)) / size)
    expected = float(debiased(np.array(weights), np.array(gaps), np.array(noise)))
    assert point_errors(confidences, right, edges, groups if grouped else None)[1] == pytest.approx(expected)


@pytest.mark.parametrize("sharpness", [1.0, 0.75, 0.5])
def test_the_interval_holds_the_truth(sharpness: float) -> None:
    generator, true, held, above_nothing = np.random.default_rng(1), truth(sharpness), 0, 0
    for _ in range(80):
        confidences, right = answers(400, generator, sharpness)
        found = calibration_error(confidences, right, equal_mass(confidences, BINS), resamples=200)
        assert found.debiased.low <= found.debiased.value <= found.debiased.high
        held += found.debiased.low <= true <= found.debiased.high or (sharpness == 1.0 and found.debiased.low == 0)
        above_nothing += found.debiased.low > 0
    assert held >= 68
    assert above_nothing <= 5 if sharpness == 1.0 else above_nothing > 5
    assert sharpness != 0.5 or above_nothing > 40


def test_the_band_is_what_calibrated_models_show() -> None:
    generator, below, above, beyond, chances = np.random.default_rng(2), 0, 0, 0, []
    for _ in range(200):
        confidences, right = answers(200, generator)
        found = calibration_error(confidences, right, equal_width(10), resamples=200)
        below += found.plug_in < found.band.low
        above += found.plug_in > found.band.high
        beyond += found.plug_in > found.band.upper
        chances.append(found.chance)
        assert found.band.low < found.band.mean < found.band.upper < found.band.high
        assert found.inside == (found.plug_in <= found.band.high)
    assert below <= 12 and above <= 12 and beyond <= 20
    assert np.mean(chances) == pytest.approx(0.5, abs=0.07), "evenly spread"


def test_the_band_agrees_with_a_naive_one() -> None:
    generator = np.random.default_rng(3)
    confidences, right = answers(60, generator)
    edges = equal_mass(confidences, 5)
    bins, errors = place(confidences, edges), []
    for _ in range(3000):
        drawn = [float(generator.random() < each) for each in confidences]
        gaps = [sum(d - c for d, c, b in zip(drawn, confidences, bins, strict=True) if b == one) for one in range(5)]
        errors.append(sum(map(abs, gaps)) / 60)
    band = calibration_error(confidences, right, edges, resamples=4000).band
    low, high, upper = np.quantile(errors, (0.025, 0.975, 0.95))
    assert (band.low, band.high, band.upper) == pytest.approx((low, high, upper), abs=0.006)
    assert band.mean == pytest.approx(np.mean(errors), abs=0.002)


def test_empty_bins_and_classes_have_no_hits() -> None:
    hits = drawn_hits(np.array([1.0, 1.0, 0.0]), np.array([3, 3, 1]), 5, 7)
    assert hits.tolist() == [[0, 0, 0, 2, 0]] * 7
    sure = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    found = drawn_class_hits(sure, np.array([[1, 0, 0], [0, 0, 1]]), 2, 4)
    assert found.tolist() == [[[0, 1], [0, 0], [0, 1]]] * 4


def test_labels_of_classes_are_drawn_as_their_probabilities_say() -> None:
    logits, _ = classified(50, 4, np.random.default_rng(4))
    probabilities = softmax(logits)
    bins = (probabilities > 0.3).astype(np.int64)
    hits = drawn_class_hits(probabilities, bins, 2, 4000)
    assert (hits.sum(axis=(1, 2)) == 50).all(), "one label for each sample"
    for label in range(4):
        for one in range(2):
            own = probabilities[bins[:, label] == one, label]
            assert hits[:, label, one].mean() == pytest.approx(own.sum(), abs=0.15)
            assert hits[:, label, one].var() == pytest.approx((own * (1 - own)).sum(), rel=0.12)
    errors = calibrated_errors(probabilities[:, 0], bins[:, 0], hits[:, 0])
    expected = np.abs(hits[:, 0, 0] - probabilities[bins[:, 0] == 0, 0].sum())
    expected += np.abs(hits[:, 0, 1] - probabilities[bins[:, 0] == 1, 0].sum())
    assert errors == pytest.approx(expected / 50)


def test_equal_confidences_share_a_bin_and_one_bin_is_no_trouble() -> None:
    confidences = np.array([0.5] * 30 + [0.9] * 10)
    assert set(place(confidences, equal_mass(confidences, 4))[:30].tolist()) == {0}
    found = calibration_error(np.full(20, 1.0), np.ones(20, bool), equal_mass(np.full(20, 1.0), 4))
    assert (found.plug_in, found.debiased.value, found.debiased.high, found.band.high) == (0, 0, 0, 0)
    assert found.inside and found.chance == 1.0


def test_groups_of_one_are_no_groups_and_copies_count_once() -> None:
    confidences, right = answers(150, np.random.default_rng(5), 0.5)
    edges = equal_mass(confidences, 8)
    alone = calibration_error(confidences, right, edges)
    same = calibration_error(confidences, right, edges, np.arange(150)[::-1] * 3)
    assert same.plug_in == pytest.approx(alone.plug_in) and same.debiased.value == pytest.approx(alone.debiased.value)
    twice = np.repeat(np.arange(150), 2)
    copied = calibration_error(confidences[twice], right[twice], edges, twice)
    assert copied.plug_in == pytest.approx(alone.plug_in)
    assert copied.debiased.value == pytest.approx(alone.debiased.value, abs=0.004)
    assert copied.debiased.high == pytest.approx(alone.debiased.high, abs=0.01)
