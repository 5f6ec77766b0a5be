"""From the graph's outputs to an answer."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bundle import coalitions
from bundle.answer import Prediction, answers, everything, probabilities, softmax
from bundle.errors import InvalidInput
from bundle.manifest import Calibration, Input, Manifest
from bundle.modalities import Array

LABELS = ("a", "b", "c")
NAMES = ("image", "text", "sound")
MANIFEST = Manifest("demo", LABELS, tuple(Input(name, "genomics", {}, (1,), "float32") for name in NAMES), {}, {})
TEMPERATURES = Calibration(
    2.0, {"text": 0.5}, {"": 3.0, "image": 0.7, "image+sound": 1.5, "text": 0.9, "text+sound": 1.2}
)
ALL = everything(1, 3)


def outputs(present: Array, seed: int = 0, modalities: int = 3) -> dict[str, Array]:
    """What a graph gives: row k of the coalitions is that of the modalities in k which are there."""
    generator = np.random.default_rng(seed)
    every = generator.normal(size=(len(present), 1 << modalities, len(LABELS))).astype(np.float32)
    used = coalitions.index(present)
    really = np.arange(1 << modalities) & used[:, None]
    rows = np.arange(len(present))
    found = {"logits": every[rows, used], "coalitions": every[rows[:, None], really]}
    for name in NAMES[:modalities]:
        found[f"share_{name}"] = generator.normal(size=(len(present), len(LABELS))).astype(np.float32)
        found[f"shift_{name}"] = generator.uniform(0, 4, len(present)).astype(np.float32)
    return found


def masks(*rows: Sequence[int]) -> Array:
    return np.array(rows, np.bool_)


EVERY = coalitions.membership(3)


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


def test_softmax_leaves_its_argument_as_it_is() -> None:
    logits = np.array([[1.0, 2.0]])
    softmax(logits, 2.0)
    assert logits.tolist() == [[1.0, 2.0]]


def test_each_share_has_its_own_temperature() -> None:
    given = outputs(EVERY)
    found = probabilities(given, EVERY, TEMPERATURES, NAMES)
    np.testing.assert_allclose(found["share_text"], softmax(given["share_text"] * 2))
    np.testing.assert_allclose(found["share_image"], softmax(given["share_image"]))
    assert set(found) == {"logits", "coalitions", "share_image", "share_text", "share_sound"}


def test_the_temperature_is_that_of_what_is_really_there() -> None:
    given = outputs(EVERY)
    found = probabilities(given, EVERY, TEMPERATURES, NAMES)
    of_each = {**TEMPERATURES.coalitions, "image+text+sound": 2.0}
    for row, there in enumerate(EVERY):
        present = {name for name, given_ in zip(NAMES, there, strict=True) if given_}
        for number, name in enumerate(coalitions.names(NAMES)):
            used = "+".join(part for part in NAMES if part in present and part in name.split("+"))
            expected = softmax(given["coalitions"][row, number] / of_each.get(used, 1.0))
            np.testing.assert_allclose(found["coalitions"][row, number], expected, err_msg=f"{present} {name!r}")
        fused = softmax(given["logits"][row] / of_each.get("+".join(part for part in NAMES if part in present), 1.0))
        np.testing.assert_allclose(found["logits"][row], fused)


def test_without_a_temperature_logits_are_left_as_they_are() -> None:
    given = outputs(EVERY)
    found = probabilities(given, EVERY, Calibration(), NAMES)
    for name, values in found.items():
        np.testing.assert_allclose(values, softmax(given[name]))


def test_classes_come_most_probable_first_and_modalities_speak_for_themselves() -> None:
    given = outputs(everything(20, 3), seed=1)
    found = answers(MANIFEST, given, everything(20, 3))
    for row, answer in enumerate(found):
        chances = softmax(given["logits"][row])
        order = np.argsort(-chances)
        assert [entry.label for entry in answer.predictions] == [LABELS[position] for position in order]
        assert [entry.probability for entry in answer.predictions] == pytest.approx(chances[order].tolist())
        for name in NAMES:
            own = softmax(given[f"share_{name}"][row])
            assert answer.modalities[name].label == LABELS[int(own.argmax())]
            assert answer.modalities[name].confidence == pytest.approx(own[order[0]])
        assert answer.model == "demo" and answer.missing == ()


@pytest.mark.parametrize("calibration", [Calibration(), TEMPERATURES])
def test_contributions_sum_to_the_probability_minus_the_baseline(calibration: Calibration) -> None:
    given = outputs(EVERY, seed=2)
    for row, answer in enumerate(answers(replace(MANIFEST, calibration=calibration), given, EVERY)):
        total = sum(own.contribution for own in answer.modalities.values())
        assert total == pytest.approx(answer.predictions[0].probability - answer.baseline, abs=1e-12)
        best = LABELS.index(answer.predictions[0].label)
        nothing = softmax(given["coalitions"][row, 0], calibration.coalitions.get("", 1.0))
        assert answer.baseline == pytest.approx(nothing[best])


def test_contributions_are_shapley_values_of_the_predicted_class() -> None:
    given = outputs(ALL, seed=3)
    [answer] = answers(replace(MANIFEST, calibration=TEMPERATURES), given, ALL)
    values = probabilities(given, ALL, TEMPERATURES, NAMES)["coalitions"]
    expected = coalitions.shapley(values[:, :, LABELS.index(answer.predictions[0].label)])[0]
    assert [answer.modalities[name].contribution for name in NAMES] == pytest.approx(expected.tolist())


def test_what_is_absent_is_named_and_neither_answers_nor_contributes() -> None:
    for there, answer in zip(EVERY, answers(MANIFEST, outputs(EVERY, seed=4), EVERY), strict=True):
        used = [name for name, given in zip(NAMES, there, strict=True) if given]
        assert list(answer.modalities) == used
        assert answer.missing == tuple(name for name in NAMES if name not in used)
    given, present = outputs(EVERY, seed=4), EVERY
    values = probabilities(given, present, MANIFEST.calibration, NAMES)["coalitions"]
    for number in range(3):
        assert (coalitions.shapley(values[:, :, number])[~present] == 0).all()


def test_a_batch_of_complete_and_incomplete_samples_gives_what_each_gives_alone() -> None:
    given = outputs(EVERY, seed=5)
    manifest = replace(MANIFEST, calibration=TEMPERATURES, shifts={"image": 2.0})
    together = answers(manifest, given, EVERY)
    for row, answer in enumerate(together):
        one = {name: values[row : row + 1] for name, values in given.items()}
        assert answers(manifest, one, EVERY[row : row + 1]) == [answer]


def said(shares: dict[str, int], present: Array, manifest: Manifest = MANIFEST, **changed: Array) -> Prediction:
    """One answer in which each modality chooses the class of this number alone."""
    given = outputs(present)
    given |= {f"share_{name}": 5 * np.eye(3, dtype=np.float32)[[number]] for name, number in shares.items()}
    [answer] = answers(manifest, given | changed, present)
    return answer


def test_modalities_that_choose_other_classes_disagree() -> None:
    assert not said({"image": 1, "text": 1, "sound": 1}, ALL).disagreement
    assert said({"image": 1, "text": 1, "sound": 2}, ALL).disagreement


def test_an_absent_modality_and_one_that_is_alone_disagree_with_nobody() -> None:
    assert not said({"image": 1, "text": 1, "sound": 2}, masks([1, 1, 0])).disagreement
    assert said({"image": 1, "text": 1, "sound": 2}, masks([1, 0, 1])).disagreement
    assert not said({"image": 1, "text": 0, "sound": 2}, masks([0, 1, 0])).disagreement


def test_a_shift_is_the_distance_as_a_share_of_the_threshold() -> None:
    manifest = replace(MANIFEST, shifts={"image": 2.0, "text": 4.0})
    distances = {f"shift_{name}": np.array([3.0], np.float32) for name in NAMES}
    answer = said({}, ALL, manifest, **distances)
    assert [answer.modalities[name].shift for name in NAMES] == [1.5, 0.75, None]
    assert answer.unusual == ("image",)


def test_exactly_the_threshold_is_not_unusual_and_no_absent_modality_is() -> None:
    manifest = replace(MANIFEST, shifts=dict.fromkeys(NAMES, 2.0))
    distances = {f"shift_{name}": np.array([value], np.float32) for name, value in zip(NAMES, (2, 9, 9), strict=True)}
    assert said({}, ALL, manifest, **distances).unusual == ("text", "sound")
    assert said({}, masks([1, 0, 1]), manifest, **distances).unusual == ("sound",)


def test_an_answer_abstains_where_its_class_is_less_probable_than_asked_for() -> None:
    [answer] = answers(MANIFEST, outputs(ALL), ALL)
    probability = answer.predictions[0].probability
    assert not answer.abstain
    for below, expected in ((0.0, False), (probability, False), (np.nextafter(probability, 1), True), (1.0, True)):
        [found] = answers(replace(MANIFEST, abstain_below=float(below)), outputs(ALL), ALL)
        assert found.abstain is expected
        assert answer.abstaining(float(below)).abstain is expected
        assert replace(found, abstain=False) == answer
    assert answer.abstaining(None) is answer
    assert not found.abstaining(0.0).abstain, "a request has the last word"


@pytest.mark.parametrize("name", list(outputs(ALL)))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_no_answer(name: str, value: float) -> None:
    broken = outputs(everything(2, 3))
    broken[name][1].reshape(-1)[:1] = value
    if broken[name].ndim == 1:
        broken[name][1] = value
    with pytest.raises(InvalidInput, match="no finite number"):
        answers(MANIFEST, broken, everything(2, 3))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_modalities_answers(count: int) -> None:
    manifest = replace(MANIFEST, inputs=MANIFEST.inputs[:count])
    present = coalitions.membership(count)
    found = answers(manifest, outputs(present, modalities=count), present)
    assert [len(answer.modalities) for answer in found] == present.sum(axis=1).tolist()
    assert everything(4, count).shape == (4, count) and everything(4, count).all()
