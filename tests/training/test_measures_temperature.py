"""The fitted temperature against a grid, against the truth, and where none can be fitted."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.errors import DataError, TooFewSamples
from training.measures.calibration import negative_log_likelihood
from training.measures.temperature import HIGHEST, LEAST, fit_temperature

Logits = NDArray[np.float64]
Labels = NDArray[np.int64]


def simulated(samples: int, classes: int, temperature: float, seed: int = 0) -> tuple[Logits, Labels]:
    """Logits whose softmax at that temperature is the truth."""
    generator = np.random.default_rng(seed)
    true = generator.normal(0, 2, (samples, classes))
    noise = generator.gumbel(size=true.shape)
    return true * temperature, np.asarray((true + noise).argmax(axis=1), np.int64)


def loss(logits: Logits, labels: Labels, temperature: float) -> float:
    return float(negative_log_likelihood(logits, labels, temperature).mean())


@pytest.mark.parametrize(("samples", "classes", "truth"), [(60, 2, 0.4), (200, 3, 1.0), (400, 10, 3.0)])
def test_no_temperature_of_a_grid_is_better(samples: int, classes: int, truth: float) -> None:
    logits, labels = simulated(samples, classes, truth)
    found = fit_temperature(logits, labels)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    losses = [loss(logits, labels, temperature) for temperature in grid]
    assert loss(logits, labels, found) <= min(losses)
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=2e-3)


@pytest.mark.parametrize("truth", [0.3, 1.0, 2.5])
def test_a_known_temperature_is_found(truth: float) -> None:
    assert fit_temperature(*simulated(40_000, 5, truth)) == pytest.approx(truth, rel=0.03)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_worse_than_none_on_its_own_samples(seed: int) -> None:
    logits, labels = simulated(LEAST, 4, 0.5 + seed / 10, seed)
    assert loss(logits, labels, fit_temperature(logits, labels)) <= loss(logits, labels, 1.0) + 1e-12


def test_answers_stay_the_same() -> None:
    logits, labels = simulated(100, 4, 3.0)
    assert np.array_equal((logits / fit_temperature(logits, labels)).argmax(axis=1), logits.argmax(axis=1))


def test_a_constant_added_to_a_sample_changes_nothing_and_a_factor_is_undone() -> None:
    logits, labels = simulated(200, 4, 2.0)
    found = fit_temperature(logits, labels)
    assert fit_temperature(logits + np.arange(200)[:, None], labels) == pytest.approx(found, rel=1e-6)
    assert fit_temperature((logits * 7).astype(np.float32), labels) == pytest.approx(7 * found, rel=1e-4)


def test_logits_that_know_less_than_nothing_are_flattened() -> None:
    logits, labels = simulated(200, 4, 1.0)
    assert fit_temperature(-logits, labels) == HIGHEST


def test_too_few_samples_are_refused() -> None:
    logits, labels = simulated(LEAST, 3, 1.0)
    assert fit_temperature(logits, labels) > 0
    with pytest.raises(TooFewSamples, match=f"at least {LEAST} samples to fit a temperature, got {LEAST - 1}"):
        fit_temperature(logits[1:], labels[1:])


def test_one_class_is_refused() -> None:
    logits, labels = simulated(200, 3, 1.0)
    with pytest.raises(TooFewSamples, match="two classes"):
        fit_temperature(logits, np.full_like(labels, 2))


def test_answers_that_are_all_right_are_refused() -> None:
    logits, _ = simulated(200, 3, 1.0)
    with pytest.raises(TooFewSamples, match="at least one wrong answer"):
        fit_temperature(logits, np.asarray(logits.argmax(axis=1), np.int64))


def test_logits_that_are_not_finite_are_refused() -> None:
    logits, labels = simulated(200, 3, 1.0)
    logits[3, 1] = np.nan
    with pytest.raises(DataError, match="finite"):
        fit_temperature(logits, labels)
