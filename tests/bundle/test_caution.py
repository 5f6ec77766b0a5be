"""Probabilities of inputs unlike the training data are lowered, and nothing else is changed."""

from dataclasses import replace

import numpy as np
import pytest

from bundle.answer import answers, everything, softmax
from bundle.caution import divisors
from bundle.coalitions import membership
from tests.bundle.test_answer import LABELS, MANIFEST, NAMES, TEMPERATURES, outputs

THRESHOLDS = {"image": 1.5, "sound": 0.8}
CAREFUL = replace(MANIFEST, shifts=THRESHOLDS, calibration=TEMPERATURES)
CARELESS = replace(MANIFEST, calibration=TEMPERATURES)


def test_the_divisors_are_those_of_a_naive_loop() -> None:
    generator = np.random.default_rng(0)
    distances = {name: generator.uniform(0, 4, 30).astype(np.float32) for name in NAMES}
    together, alone = divisors(distances, NAMES, THRESHOLDS)
    for row in range(30):
        own = {
            name: max(1.0, float(distances[name][row]) / THRESHOLDS[name]) ** 2 if name in THRESHOLDS else 1.0
            for name in NAMES
        }
        for name in NAMES:
            assert alone[name][row] == pytest.approx(own[name])
        for number, members in enumerate(membership(3)):
            used = [own[name] for name, there in zip(NAMES, members, strict=True) if there]
            assert together[row, number] == pytest.approx(max(used, default=1.0))
    assert together.max() > 5 and together.min() == 1.0


def test_within_the_thresholds_nothing_changes() -> None:
    present = everything(20, 3)
    given = outputs(present, seed=2)
    for name, threshold in THRESHOLDS.items():
        given[f"shift_{name}"] = np.minimum(given[f"shift_{name}"], np.float32(threshold) * np.float32(0.999))
    careful, careless = answers(CAREFUL, given, present), answers(CARELESS, given, present)
    assert [one.predictions for one in careful] == [one.predictions for one in careless]


def test_beyond_them_probabilities_fall_and_labels_stay() -> None:
    present = everything(40, 3)
    given = outputs(present, seed=3)
    lowered = 0
    for row, (careful, careless) in enumerate(
        zip(answers(CAREFUL, given, present), answers(CARELESS, given, present), strict=True)
    ):
        farthest = max(1.0, *(float(given[f"shift_{name}"][row]) / limit for name, limit in THRESHOLDS.items())) ** 2
        expected = softmax(given["logits"][row] / farthest, TEMPERATURES.fused)
        best = careful.predictions[0]
        assert best.label == careless.predictions[0].label
        assert best.probability == pytest.approx(expected[LABELS.index(best.label)])
        assert best.probability <= careless.predictions[0].probability + 1e-12
        assert [own.label for own in careful.modalities.values()] == [own.label for own in careless.modalities.values()]
        assert bool(careful.unusual) == (farthest > 1.0)
        lowered += bool(careful.unusual)
        total = sum(own.contribution for own in careful.modalities.values())
        assert total == pytest.approx(best.probability - careful.baseline)
    assert 5 < lowered


def test_a_modality_far_away_lowers_only_what_uses_it() -> None:
    present = everything(1, 3)
    given = {**outputs(present, seed=4), "shift_image": np.array([15.0], np.float32)}
    given |= {f"shift_{name}": np.zeros(1, np.float32) for name in ("text", "sound")}
    [careful], [careless] = answers(CAREFUL, given, present), answers(CARELESS, given, present)
    assert careful.unusual == ("image",)
    assert careful.modalities["text"].confidence == careless.modalities["text"].confidence
    assert careful.modalities["image"].confidence == pytest.approx(1 / len(LABELS), abs=0.02)
    absent = np.array([[False, True, True]])
    [careful], [careless] = (
        answers(manifest, {**outputs(absent, seed=4), "shift_image": np.zeros(1, np.float32)}, absent)
        for manifest in (replace(CAREFUL, shifts={"image": 1.5}), CARELESS)
    )
    assert careful.predictions == careless.predictions
