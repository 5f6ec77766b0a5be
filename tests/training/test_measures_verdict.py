"""The words of a verdict follow from its intervals."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from training.comparison.significance import holm
from training.measures.gains import LEAST, class_gains
from training.measures.intervals import accuracy_difference, accuracy_interval
from training.measures.verdict import Verdict, verdict

Labels = NDArray[np.int64]
CLASSES = ("cat", "dog", "owl", "rat")


def predictions(labels: Labels, chances: dict[str, float], seed: int = 0) -> dict[str, Labels]:
    """For each coalition, predictions that are right with that chance; the easier samples are so for all."""
    difficulty = np.random.default_rng(seed).random(len(labels))
    return {
        name: np.where(difficulty < chance, labels, (labels + 1) % len(CLASSES)) for name, chance in chances.items()
    }


def labelled(each: int = 100) -> Labels:
    return np.repeat(np.arange(len(CLASSES)), each)


def two(fused: float, audio: float, video: float) -> Verdict:
    labels = labelled()
    return verdict(labels, predictions(labels, {"audio": audio, "video": video, "audio+video": fused}), CLASSES)


def test_a_plain_gain_is_said_with_its_size_and_margin() -> None:
    found = two(0.9, 0.8, 0.5)
    assert found.best == "audio" and list(found.alone) == ["audio", "video"]
    margin = found.gain.mean - found.gain.low
    expected = f"by {100 * found.gain.mean:.1f} ± {100 * margin:.1f} points."
    assert (
        found.sentences[0].startswith("The fused model (") and " beats its best modality, audio (" in found.sentences[0]
    )
    assert found.sentences[0].endswith(expected) and found.gain.verdict == "better"
    assert "audio (" in found.sentences[1] and "is ahead and video (" in found.sentences[1]


def test_a_loss_is_said() -> None:
    found = two(0.7, 0.8, 0.5)
    assert "is worse than its best modality, audio" in found.sentences[0]
    assert "-" not in found.sentences[0]


def test_a_difference_that_may_be_nothing_is_said_to_be_in_the_noise() -> None:
    labels = labelled()
    given = predictions(labels, {"audio+video": 0.8, "video": 0.5}) | predictions(labels, {"audio": 0.79}, seed=1)
    found = verdict(labels, given, CLASSES)
    assert found.gain.verdict == "noise"
    assert "is no better than its best modality, audio" in found.sentences[0]
    assert "as far as 400 samples tell" in found.sentences[0] and "within the noise" in found.sentences[0]


def test_five_answers_that_differ_are_noise_whatever_the_bootstrap_says() -> None:
    labels = labelled()
    fused = labels.copy()
    audio = fused.copy()
    audio[:5] = 3
    video = np.zeros_like(labels)
    found = verdict(labels, {"audio": audio, "video": video, "audio+video": fused}, CLASSES)
    assert found.gain.verdict == "better" and "within the noise" in found.sentences[0]
    audio[5] = 3
    again = verdict(labels, {"audio": audio, "video": video, "audio+video": fused}, CLASSES)
    assert " beats " in again.sentences[0]


def test_modalities_that_are_as_good_as_each_other_are_not_ranked() -> None:
    labels = labelled()
    tenths = np.arange(400) % 10
    own = {"audio": np.where(tenths < 7, labels, -1), "video": np.where(tenths > 2, labels, -1)}
    found = verdict(labels, {**own, "audio+video": labels}, CLASSES)
    assert "are within the noise of each other" in found.sentences[1]


def test_figures_are_those_of_the_samples_and_groups() -> None:
    labels, groups = labelled(), np.arange(400) // 4
    given = predictions(labels, {"audio": 0.8, "video": 0.6, "audio+video": 0.85})
    right = {name: predicted == labels for name, predicted in given.items()}
    found = verdict(labels, given, CLASSES, groups)
    assert found.fused == accuracy_interval(right["audio+video"], groups)
    assert found.alone == {name: accuracy_interval(right[name], groups) for name in ("audio", "video")}
    assert found.gain == accuracy_difference(right["audio+video"], right["audio"], groups)
    chosen = verdict(labels, given, CLASSES, groups, "video")
    assert chosen.best == "video" and chosen.gain.mean > found.gain.mean
    assert "its best modality, video" in chosen.sentences[0]


def test_classes_say_where_a_modality_adds_harms_or_makes_no_difference() -> None:
    labels = labelled(120)
    fused = labels.copy()
    audio, video = labels.copy(), labels.copy()
    audio[labels == 0] = np.where(np.arange(120) < 60, 0, 1)  # video adds half of cat
    fused[labels == 1] = np.where(np.arange(120) < 90, 1, 2)  # and takes a quarter of dog
    audio[np.flatnonzero(labels == 2)[0]] = 3  # owl: one answer of 120
    found = verdict(labels, {"audio": audio, "video": video, "audio+video": fused}, CLASSES)
    of_video = {gain.label: gain for gain in found.classes if gain.modality == "video"}
    assert {label: gain.effect for label, gain in of_video.items()} == {
        "cat": "adds",
        "dog": "harms",
        "owl": "noise",
        "rat": "unused",
    }
    assert of_video["cat"].gain.mean == pytest.approx(0.5) and of_video["dog"].gain.mean == pytest.approx(-0.25)
    said = [sentence for sentence in found.sentences if "video" in sentence][2:]
    assert said[0].startswith("video adds for cat (by 50.0 ± ")
    assert said[1].startswith("video harms dog (by 25.0 ± ")
    assert said[2].startswith("video adds nothing here for rat:")
    assert said[3] == "What video adds for owl is within the noise."


def test_surely_less_than_three_points_is_nothing() -> None:
    labels = np.repeat(np.arange(2), 2000)
    fused = labels.copy()
    alone = labels.copy()
    alone[:3] = 1
    fused[3:6] = 1
    found = verdict(labels, {"a": alone, "b": labels, "a+b": fused}, ("x", "y"))
    assert [gain.effect for gain in found.classes] == ["nothing", "unused", "nothing", "unused"]
    assert "b adds nothing, or less than 3 points, for x." in found.sentences


def test_small_classes_are_counted_and_not_judged() -> None:
    labels = np.repeat(np.arange(4), [LEAST - 1, LEAST, 50, 3])
    given = predictions(labels, {"audio": 0.8, "video": 0.6, "audio+video": 0.85})
    found = verdict(labels, given, CLASSES)
    assert {gain.label for gain in found.classes} == {"dog", "owl"}
    assert found.sentences[-1].startswith(f"2 classes have fewer than {LEAST} samples")
    one = verdict(labels, {name: each.clip(0, 2) for name, each in given.items()}, (*CLASSES[:3], "none"))
    assert one.sentences[-1].startswith("2 classes")


def test_three_modalities_are_held_against_the_other_two() -> None:
    labels = labelled()
    chances = {"a": 0.5, "b": 0.6, "c": 0.8, "a+b": 0.65, "a+c": 0.85, "b+c": 0.9, "a+b+c": 0.95, "": 0.25}
    given = predictions(labels, chances)
    found = verdict(labels, given, CLASSES)
    assert list(found.alone) == ["c", "b", "a"] and found.best == "c"
    assert "c (" in found.sentences[1] and "between them b (" in found.sentences[1]
    for modality, other in (("a", "b+c"), ("b", "a+c"), ("c", "a+b")):
        for label, name in enumerate(CLASSES):
            (gain,) = [each for each in found.classes if (each.modality, each.label) == (modality, name)]
            own = labels == label
            difference = (given["a+b+c"][own] == label).mean() - (given[other][own] == label).mean()
            assert gain.gain.mean == pytest.approx(difference)


def test_p_is_holms_of_exact_sign_tests() -> None:
    labels = labelled()
    given = predictions(labels, {"audio+video": 0.8}) | predictions(labels, {"audio": 0.6, "video": 0.7}, seed=1)
    found = class_gains(labels, given, ("audio", "video"), CLASSES)
    p = []
    for other in ("video", "audio"):
        for label in range(4):
            own = labels == label
            fused, less = given["audio+video"][own] == label, given[other][own] == label
            p.append(binomtest(int((fused & ~less).sum()), int((fused != less).sum())).pvalue)
    assert [gain.p for gain in found] == pytest.approx(holm(p))


def test_chance_among_many_classes_is_not_called_harm() -> None:
    """40 classes and two modalities of no use: nothing is said to add or harm."""
    generator, called = np.random.default_rng(0), 0
    labels = np.repeat(np.arange(40), 40)
    for _ in range(5):
        given = {
            name: np.where(generator.random(len(labels)) < 0.7, labels, (labels + 1) % 40)
            for name in ("audio", "video", "audio+video")
        }
        found = verdict(labels, given, [f"class {label}" for label in range(40)])
        called += sum(gain.effect in ("adds", "harms") for gain in found.classes)
    assert called <= 1


def test_many_classes_are_counted_after_the_first() -> None:
    labels = np.repeat(np.arange(40), LEAST)
    given = {name: np.where(np.arange(len(labels)) % 3 > 0, labels, -1) for name in ("audio", "video", "audio+video")}
    found = verdict(labels, given, [f"class {label}" for label in range(40)])
    assert "audio adds nothing here for class 0, class 1, class 2, class 3, class 4 and 35 other classes:" in " ".join(
        found.sentences
    )
