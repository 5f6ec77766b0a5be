"""Figures by the values of a column: counted by hand, intervals against scipy, and the worst value."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from training import breakdown
from training.errors import ConfigError
from training.evaluate import Scores, evaluate
from training.measures.groups import FEWEST, Groups, by_value, measure, subset
from training.measures.intervals import wilson
from training.pairs import Pairs


@pytest.mark.parametrize("right, samples", [(0, 1), (1, 1), (0, 20), (20, 20), (13, 20), (199, 200), (7, 9)])
def test_the_interval_holds_the_probabilities_that_the_count_is_within_two_standard_errors_of(
    right: int, samples: int
) -> None:
    found, quantile = wilson(right, samples), NormalDist().inv_cdf(0.975)
    assert found.value == right / samples
    for end in (found.low, found.high):
        if 1e-9 < end < 1 - 1e-9:
            apart = abs(found.value - end)
            assert apart == pytest.approx(quantile * math.sqrt(end * (1 - end) / samples), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def scores_of(right: list[bool]) -> Scores:
    """Two classes; the fused classifier and the image are right as asked for, the text never."""
    labels = np.arange(len(right)) % 2
    guess = np.where(right, labels, 1 - labels)
    logits, wrong = (np.eye(2, dtype=np.float32)[chosen] for chosen in (guess, 1 - labels))
    return Scores(labels, np.arange(len(right)) * 3, logits, {"image": logits, "text": wrong})


def random_scores(count: int) -> Scores:
    generator = np.random.default_rng(0)
    shares = {name: generator.normal(size=(count, 3)).astype(np.float32) for name in ("image", "text")}
    labels, samples = generator.integers(0, 3, count), np.arange(count)
    return Scores(labels, samples, shares["image"] + shares["text"], shares)


def test_any_figure_is_that_of_the_samples_of_each_value() -> None:
    scores, values = random_scores(40), [("b", "a", "c")[number * number % 3] for number in range(40)]
    found = by_value(scores, values, lambda part: (part.samples.tolist(), float(part.logits.sum())))
    for value, (samples, total) in found.items():
        rows = [row for row, other in enumerate(values) if other == value]
        assert samples == rows
        assert total == pytest.approx(sum(float(scores.logits[row].sum()) for row in rows), rel=1e-4)
    assert list(found) == sorted(set(values))


def test_accuracies_of_values_equal_a_naive_count() -> None:
    scores, values = random_scores(60), ["xyz"[number % 3] for number in range(60)]
    found = measure(scores, "site", "test", values)
    for group in found.groups:
        rows = [row for row in range(60) if values[row] == group.value]
        hits = sum(int(scores.logits[row].argmax()) == scores.labels[row] for row in rows)
        assert group.figures.accuracy == pytest.approx(hits / len(rows)) and group.figures.samples == len(rows)
        for name, share in scores.shares.items():
            own = sum(int(share[row].argmax()) == scores.labels[row] for row in rows)
            assert group.figures.modality_accuracy[name] == pytest.approx(own / len(rows))
        assert group.interval == (wilson(hits, len(rows)).low, wilson(hits, len(rows)).high)
    assert found.whole == evaluate(scores)


def test_numbers_come_in_their_order_before_texts() -> None:
    values = ["10", "9", "unknown", "-1.5", "9", "nan"]
    assert list(by_value(random_scores(6), values, lambda part: len(part.labels))) == [
        "-1.5",
        "9",
        "10",
        "nan",
        "unknown",
    ]


def test_a_subset_has_the_same_samples_in_everything_that_is_kept_of_them() -> None:
    coalitions = np.random.default_rng(1).random((9, 4, 3), dtype=np.float32)
    distances = {"image": np.arange(9, dtype=np.float32)}
    scores = replace(random_scores(9), coalitions=coalitions, shifts=distances)
    part = subset(scores, np.array([7, 2]))
    assert np.array_equal(part.coalitions, coalitions[[7, 2]]) and part.shifts["image"].tolist() == [7.0, 2.0]
    assert part.deletions == {} and subset(random_scores(9), np.array([0])).coalitions.shape == (0, 0, 0)
    assert part.samples.tolist() == [7, 2] and part.labels.tolist() == scores.labels[[7, 2]].tolist()
    assert np.array_equal(part.logits, scores.logits[[7, 2]])
    assert all(np.array_equal(part.shares[name], scores.shares[name][[7, 2]]) for name in scores.shares)


def groups_of(**right: tuple[int, int]) -> Groups:
    """Values with so many right of so many samples."""
    hits = [number < count for count, of in right.values() for number in range(of)]
    values = [value for value, (_, of) in right.items() for _ in range(of)]
    return measure(scores_of(hits), "site", "test", values)


def test_the_worst_value_is_the_least_accurate_of_those_with_enough_samples() -> None:
    found = groups_of(north=(38, 40), south=(20, 40), tiny=(1, FEWEST - 1), enough=(15, FEWEST))
    assert found.worst is not None and found.worst.value == "south"
    assert [group.value for group in found.groups if group.small] == ["tiny"]
    assert breakdown.verdict(found) == "worst site: south, accuracy 0.500 where all have 0.622, " + (
        "which may be chance: its interval reaches that far"
    )


def test_a_value_whose_interval_lies_below_all_samples_is_said_without_excuse() -> None:
    assert breakdown.verdict(groups_of(north=(199, 200), south=(50, 100))) == (
        "worst site: south, accuracy 0.500 where all have 0.830"
    )


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ({"north": (4, 8), "south": (1, 9)}, "no worst value of site: none has 20 samples or more"),
        ({"north": (20, 30), "south": (1, 9)}, "no worst value of site: only north has 20 samples or more"),
        ({"north": (20, 30), "south": (20, 30)}, "no worst value of site: those with 20 samples or more are alike"),
    ],
)
def test_no_worst_value_is_named_where_none_can_be(right: dict[str, tuple[int, int]], said: str) -> None:
    found = groups_of(**right)
    assert found.worst is None and breakdown.verdict(found) == said


def test_every_value_has_a_line_and_small_ones_say_so() -> None:
    told = breakdown.lines(groups_of(north=(38, 40), south=(5, 10)))
    low, high = wilson(38, 40).low, wilson(38, 40).high
    assert told[0] == "test by site, with 95 % intervals of the accuracy"
    start = f"  north  accuracy 0.950 ({low:.3f} to {high:.3f}), macro-F1 0.950; image alone 0.950, text alone 0.000"
    assert told[1] == f"{start}; 40 samples"
    assert told[2].startswith("  south  accuracy 0.500 (") and told[2].endswith("; 10 samples, too small to say")
    assert told[3] == "  no worst value of site: only north has 20 samples or more" and len(told) == 4


def pairs_of(count: int = 60, **columns: list[str]) -> Pairs:
    numbers = np.arange(count)
    splits = np.array([("train", "val", "test")[number % 3] for number in range(count)])
    pairs = Pairs(("a", "b"), {}, numbers % 2, numbers, splits, [f"row {number}" for number in range(count)])
    return replace(pairs, columns=columns)


def test_a_column_s_values_go_to_their_samples_and_empty_cells_are_a_value() -> None:
    site = np.random.default_rng(1).choice(["north", " south ", ""], 60).tolist()
    pairs = pairs_of(site=site, sex=["f"] * 60)
    splits = {"val": pairs.indices("val")[::-1], "test": pairs.indices("test")}
    scores = {
        split: replace(random_scores(20), samples=samples.copy(), labels=pairs.targets[samples])
        for split, samples in splits.items()
    }
    found = breakdown.breakdowns(pairs, ("site", "sex"), scores)
    assert [(one.column, one.split) for one in found] == [
        ("site", "validation"),
        ("site", "test"),
        ("sex", "validation"),
        ("sex", "test"),
    ]
    assert [group.value for group in found[0].groups] == ["(empty)", "north", "south"]
    for one, split in zip(found[:2], ("val", "test"), strict=True):
        for group in one.groups:
            rows = [
                row
                for row, sample in enumerate(splits[split].tolist())
                if (site[sample].strip() or "(empty)") == group.value
            ]
            hits = sum(int(scores[split].logits[row].argmax()) == scores[split].labels[row] for row in rows)
            assert group.figures.samples == len(rows) and group.figures.accuracy == pytest.approx(hits / len(rows))
    facts = breakdown.facts(found)
    assert facts["sex"]["test"]["worst"] is None and list(facts) == ["site", "sex"]
    (only,) = facts["sex"]["test"]["values"]
    assert only["value"] == "f" and only["samples"] == 20 and only["small"] is False
    assert only["interval"] == list(found[3].groups[0].interval)


def test_an_unknown_column_is_refused_with_the_columns_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        breakdown.check(pairs_of(site=["a"] * 60, sex=["f"] * 60), ("sex", "sites"))
    assert str(caught.value) == "--by: the data has no column 'sites' (did you mean site?); it has site, sex"
    many = {f"column {number}": ["a"] * 60 for number in range(20)}
    with pytest.raises(ConfigError, match=r"it has column 0, .*, column 11, …$"):
        breakdown.check(replace(pairs_of(), columns=many), ("site",))
    with pytest.raises(ConfigError, match=r"no column 'site'; it has none to measure by"):
        breakdown.check(pairs_of(), ("site",))


def test_a_column_of_hundreds_of_values_is_refused_with_the_way_out() -> None:
    ages = [f"{number % 51}" for number in range(300)]
    breakdown.check(pairs_of(300, age=[age if age != "50" else " 49 " for age in ages]), ("age",))
    with pytest.raises(ConfigError) as caught:
        breakdown.check(pairs_of(300, age=ages), ("age",))
    assert str(caught.value) == (
        "--by age: expected at most 50 different values, found 51; add a column that joins them into fewer, such as "
        "ranges of a number, and name that one"
    )
