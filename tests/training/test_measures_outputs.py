"""Every output's temperature, its calibration before and after, and what is expected without modalities."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bundle import coalitions
from bundle.manifest import Calibration
from tests.export.runs import scores
from training.errors import TooFewSamples
from training.measures.calibration import calibration_figures
from training.measures.improvement import improvements
from training.measures.intervals import accuracy_interval
from training.measures.missing import coalition_accuracies, shift_threshold
from training.measures.outputs import group_count, independent_groups, outputs
from training.measures.temperature import fit_temperature
from training.measures.temperatures import fit_temperatures

NAMES = ("video", "audio", "text")


def test_outputs_are_the_fused_one_each_share_and_each_coalition_that_lacks_something() -> None:
    found = outputs(("video", "audio"))
    assert [one.title for one in found] == [
        "all modalities",
        "video, its share",
        "audio, its share",
        "only video",
        "only audio",
        "no modality",
    ]
    assert [one.title for one in outputs(NAMES)][4:7] == [
        "only video + audio",
        "only video + text",
        "only audio + text",
    ]
    assert len(outputs(NAMES)) == 1 + 3 + 7


def test_each_output_finds_its_logits_and_its_temperature() -> None:
    given = scores(NAMES, 10, seed=0)
    calibration = Calibration(2.0, {"audio": 3.0}, {"video+text": 4.0, "": 5.0})
    for one in outputs(NAMES):
        expected = given.logits
        if one.kind == "share":
            expected = given.shares[one.name]
        elif one.kind == "coalition":
            expected = given.coalitions[:, coalitions.names(NAMES).index(one.name)]
        assert one.logits(given) is expected or np.array_equal(one.logits(given), expected)
    found = {(one.kind, one.name): one.temperature(calibration) for one in outputs(NAMES)}
    assert found["fused", "video+audio+text"] == 2.0 and found["share", "audio"] == 3.0
    assert found["coalition", "video+text"] == 4.0 and found["coalition", ""] == 5.0
    assert sorted(found.values()) == [1.0] * 7 + [2.0, 3.0, 4.0, 5.0]


def test_every_output_gets_the_temperature_of_its_own_logits() -> None:
    given = scores(NAMES, 200, seed=1)
    found = fit_temperatures(given, NAMES)
    assert found.refused == {}
    for one in outputs(NAMES):
        assert one.temperature(found.calibration) == fit_temperature(one.logits(given), given.labels)
    assert set(found.calibration.coalitions) == set(coalitions.names(NAMES)[:-1])


def test_what_cannot_be_fitted_stays_at_1_and_says_why() -> None:
    few = fit_temperatures(scores(NAMES, 20, seed=1), NAMES)
    assert few.calibration == Calibration() and len(few.refused) == 11
    assert all("at least 50 samples" in reason for reason in few.refused.values())
    given = scores(NAMES, 200, seed=1)
    perfect = replace(given, shares={**given.shares, "audio": 9 * np.eye(3, dtype=np.float32)[given.labels]})
    found = fit_temperatures(perfect, NAMES)
    assert [(one.title, "at least one wrong" in reason) for one, reason in found.refused.items()] == [
        ("audio, its share", True)
    ]
    assert "audio" not in found.calibration.shares and len(found.calibration.shares) == 2


def test_improvements_are_the_figures_with_and_without_the_temperature() -> None:
    given = scores(("video", "audio"), 120, seed=2)
    calibration = Calibration(2.0, {"video": 3.0}, {"audio": 4.0})
    found = {one.output.title: one for one in improvements(given, ("video", "audio"), calibration)}
    assert list(found) == ["all modalities", "video, its share", "audio, its share", "only video", "only audio"]
    assert found["all modalities"].after == calibration_figures(given.logits, given.labels, 2.0)
    assert found["all modalities"].before == calibration_figures(given.logits, given.labels)
    assert found["only audio"].after.temperature == 4.0
    assert found["audio, its share"].after is found["audio, its share"].before


def test_accuracies_without_modalities_are_those_of_the_coalitions() -> None:
    given = scores(NAMES, 80, seed=3)
    found = coalition_accuracies(given, NAMES)
    for number, name in enumerate(coalitions.names(NAMES)):
        right = [
            int(row.argmax()) == label for row, label in zip(given.coalitions[:, number], given.labels, strict=True)
        ]
        assert found[name] == accuracy_interval(np.array(right))
    assert found["video+audio+text"].value == np.mean(given.logits.argmax(axis=1) == given.labels)
    grouped = coalition_accuracies(replace(given, groups=np.arange(80) // 8), NAMES)
    assert grouped["audio"].value == found["audio"].value and grouped["audio"] != found["audio"]


def test_groups_of_one_sample_each_are_none() -> None:
    given = scores(NAMES, 20, seed=3)
    assert independent_groups(given) is None
    assert independent_groups(replace(given, groups=np.random.default_rng(0).permutation(20))) is None
    groups = np.arange(20) // 2
    assert independent_groups(replace(given, groups=groups)) is groups
    assert group_count(replace(given, groups=groups)) == 10 and group_count(given) == 20


@pytest.mark.parametrize("count", [1, 2, 9])
def test_of_few_groups_nothing_can_be_resampled(count: int) -> None:
    given = replace(scores(NAMES, 80, seed=3), groups=np.arange(80) % count)
    assert independent_groups(given) is None
    assert independent_groups(replace(given, groups=np.arange(80) % 10)) is not None
    found = coalition_accuracies(given, NAMES)["audio"]
    assert found.low < found.value < found.high, "and not an interval without any width"


@pytest.mark.parametrize(("count", "place"), [(99, 99), (100, 100), (199, 198), (1000, 991)])
def test_the_threshold_is_the_conformal_quantile(count: int, place: int) -> None:
    distances = np.random.default_rng(count).permutation(np.arange(1, count + 1)).astype(np.float32)
    assert shift_threshold(distances, 0.99) == place
    assert math.ceil(0.99 * (count + 1)) == place


def test_another_sample_exceeds_the_threshold_as_rarely_as_it_promises() -> None:
    generator = np.random.default_rng(0)
    exceeded = [
        (generator.gamma(2, size=50) > shift_threshold(generator.gamma(2, size=39), 0.9)).mean() for _ in range(4000)
    ]
    assert np.mean(exceeded) == pytest.approx(0.1, abs=0.005)


def test_too_few_samples_or_no_distance_at_all_give_no_threshold() -> None:
    with pytest.raises(TooFewSamples, match=r"at least 99 samples for the 0\.99 quantile of their distances, got 98"):
        shift_threshold(np.ones(98), 0.99)
    assert shift_threshold(np.ones(9), 0.9) == 1.0
    with pytest.raises(TooFewSamples, match="at least 9 samples"):
        shift_threshold(np.ones(8), 0.9)
    with pytest.raises(TooFewSamples, match="over 0, it is 0"):
        shift_threshold(np.zeros(200), 0.99)
