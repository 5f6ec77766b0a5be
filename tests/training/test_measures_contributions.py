"""Which modality carries which class: against the answers of a bundle and against naive averages."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from bundle import coalitions
from bundle.answer import answers, everything, softmax
from bundle.manifest import Calibration, Input, Manifest
from tests.export.runs import scores
from training.evaluate import Scores
from training.measures.contributions import class_contributions, contributions, deletion
from training.measures.intervals import mean_interval
from training.measures.rank import rank_correlation

NAMES = ("video", "audio", "text")
"""Not in the order of the alphabet, which is that of the scores' own mappings."""
TEMPERATURES = Calibration(2.0, {}, {"": 5.0, "video": 1.5, "video+text": 3.0})


@pytest.fixture(scope="module")
def given() -> Scores:
    return scores(NAMES, 60, seed=5)


def naive(given: Scores, row: int, label: int) -> list[float]:
    """What each modality adds to the class's probability as it arrives, averaged over orders of arrival."""
    of_each = TEMPERATURES.of_coalitions(NAMES)
    values = [float(softmax(given.coalitions[row, k], of_each[k])[label]) for k in range(8)]
    found = [0.0, 0.0, 0.0]
    for order in permutations(range(3)):
        there = 0
        for player in order:
            found[player] += (values[there | 1 << player] - values[there]) / 6
            there |= 1 << player
    return found


def test_contributions_are_averages_over_orders_of_arrival(given: Scores) -> None:
    found = contributions(given, NAMES, TEMPERATURES, given.labels)
    for row, label in enumerate(given.labels.tolist()):
        np.testing.assert_allclose(found.values[row], naive(given, row, label), atol=1e-12)
        assert found.probability[row] == pytest.approx(softmax(given.logits[row], 2.0)[label])
        assert found.baseline[row] == pytest.approx(softmax(given.coalitions[row, 0], 5.0)[label])


def test_contributions_to_the_predicted_class_are_those_of_the_answer(given: Scores) -> None:
    inputs = tuple(Input(name, "genomics", {}, (1,), "float32") for name in NAMES)
    manifest = Manifest("x", ("a", "b", "c"), inputs, {}, {}, TEMPERATURES)
    outputs = {"logits": given.logits, "coalitions": given.coalitions}
    outputs |= {f"share_{name}": given.shares[name] for name in NAMES}
    outputs |= {f"shift_{name}": given.shifts[name] for name in NAMES}
    found = contributions(given, NAMES, TEMPERATURES, given.logits.argmax(axis=1))
    for row, answer in enumerate(answers(manifest, outputs, everything(60, 3))):
        assert found.values[row].tolist() == [answer.modalities[name].contribution for name in NAMES]
        assert found.baseline[row] == answer.baseline


def test_a_class_s_row_is_the_mean_over_its_samples_and_adds_up(given: Scores) -> None:
    rows = class_contributions(given, NAMES, TEMPERATURES)
    assert [one.label for one in rows] == [0, 1, 2] and sum(one.samples for one in rows) == 60
    for one in rows:
        own = np.flatnonzero(given.labels == one.label)
        expected = np.mean([naive(given, row, one.label) for row in own.tolist()], axis=0)
        assert [one.modalities[name].value for name in NAMES] == pytest.approx(expected.tolist())
        total = sum(interval.value for interval in one.modalities.values())
        assert total == pytest.approx(one.probability.value - one.baseline)
        assert one.modalities["audio"].low < one.modalities["audio"].value < one.modalities["audio"].high


def test_a_class_without_samples_has_no_row(given: Scores) -> None:
    without = given.labels != 1
    cut = Scores(
        given.labels[without],
        given.samples[without],
        given.logits[without],
        {name: share[without] for name, share in given.shares.items()},
        given.coalitions[without],
    )
    assert [one.label for one in class_contributions(cut, NAMES, TEMPERATURES)] == [0, 2]


def test_samples_of_one_group_are_resampled_together(given: Scores) -> None:
    grouped = replace(given, groups=given.samples // 3)
    found, whole = (class_contributions(one, NAMES, TEMPERATURES)[0] for one in (grouped, given))
    own = given.labels == 0
    values = contributions(given, NAMES, TEMPERATURES, given.labels).values[own, 1]
    assert found.modalities["audio"] == mean_interval(values, (given.samples // 3)[own])
    assert whole.modalities["audio"] == mean_interval(values)
    each = replace(given, groups=given.samples * 3)
    assert class_contributions(each, NAMES, TEMPERATURES)[0] == whole
    one_group = replace(given, groups=np.where(own, 0, 1 + given.samples))
    assert class_contributions(one_group, NAMES, TEMPERATURES)[0] == whole, "a class in a single group"


def test_what_loses_most_without_a_modality_owes_it_most(given: Scores) -> None:
    values = contributions(given, NAMES, TEMPERATURES, given.logits.argmax(axis=1)).values
    same = replace(given, deletions={name: values[:, at].astype(np.float32) for at, name in enumerate(NAMES)})
    found = deletion(same, NAMES, TEMPERATURES)
    assert found.pooled.value == pytest.approx(1.0, abs=1e-3)
    opposite = replace(given, deletions={name: -drops for name, drops in same.deletions.items()})
    assert deletion(opposite, NAMES, TEMPERATURES).modalities["audio"].value == pytest.approx(-1.0, abs=1e-3)


def test_the_pooled_correlation_draws_a_sample_s_modalities_together(given: Scores) -> None:
    found = deletion(given, NAMES, TEMPERATURES)
    values = contributions(given, NAMES, TEMPERATURES, given.logits.argmax(axis=1)).values
    drops = np.array([[given.deletions[name][row] for name in NAMES] for row in range(60)], np.float64)
    assert found.pooled == rank_correlation(values.ravel(), drops.ravel(), np.arange(180) // 3)
    for at, name in enumerate(NAMES):
        assert found.modalities[name] == rank_correlation(values[:, at], drops[:, at])


def test_one_modality_gets_everything() -> None:
    given = scores(("audio",), 20, seed=1)
    found = contributions(given, ("audio",), Calibration(), given.labels)
    np.testing.assert_allclose(found.values[:, 0], found.probability - found.baseline, atol=1e-12)
    assert coalitions.names(("audio",)) == ("", "audio")
