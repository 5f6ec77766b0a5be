"""From logits and shares to calibrated probabilities."""

import numpy as np
import pytest

from bundle.answer import answers, probabilities, softmax
from bundle.errors import InvalidInput
from bundle.manifest import Calibration

LABELS = ("a", "b", "c")
OUTPUTS = {
    "logits": np.array([[1.0, 3.0, 2.0], [0.0, 0.0, 5.0]], dtype=np.float32),
    "share_image": np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 4.0]], dtype=np.float32),
    "share_text": np.array([[-1.0, 2.0, 2.0], [0.0, 0.0, 1.0]], dtype=np.float32),
}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_softmax_is_that_of_a_naive_loop(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    found = softmax(logits, temperature)
    for row in range(4):
        total = sum(np.exp(float(value) / temperature) for value in logits[row])
        for column in range(3):
            assert found[row, column] == pytest.approx(np.exp(float(logits[row, column]) / temperature) / total)


def test_softmax_of_large_logits_does_not_overflow() -> None:
    np.testing.assert_allclose(softmax(np.array([1e30, 0.0, -1e30], dtype=np.float32)), [1, 0, 0])


def test_each_output_has_its_own_temperature() -> None:
    found = probabilities(OUTPUTS, Calibration(fused=2.0, shares={"text": 0.5}))
    np.testing.assert_allclose(found["logits"], softmax(OUTPUTS["logits"] / 2))
    np.testing.assert_allclose(found["share_text"], softmax(OUTPUTS["share_text"] * 2))
    np.testing.assert_allclose(found["share_image"], softmax(OUTPUTS["share_image"]))


def test_classes_come_most_probable_first_and_modalities_speak_for_themselves() -> None:
    first, second = answers("demo", LABELS, OUTPUTS, Calibration())
    assert [entry.label for entry in first.predictions] == ["b", "c", "a"]
    assert first.modalities["image"].label == "a"
    assert first.modalities["image"].confidence == pytest.approx(softmax(OUTPUTS["share_image"])[0, 1])
    assert first.modalities["text"].label == "b"
    assert [entry.label for entry in second.predictions] == ["c", "a", "b"]
    assert (first.model, second.model) == ("demo", "demo")


@pytest.mark.parametrize("name", list(OUTPUTS))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_no_answer(name: str, value: float) -> None:
    broken = {key: values.copy() for key, values in OUTPUTS.items()}
    broken[name][1, 0] = value
    with pytest.raises(InvalidInput, match="no finite number"):
        answers("demo", LABELS, broken, Calibration())
