"""What a report's figures show, against naive computations; and the names and colours they show it with."""

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bundle.modalities import MODALITIES
from training import checkpoint
from training.distance import Distance
from training.errors import CheckpointError
from training.evaluate import Scores
from training.realisability import Realisability
from training.reporting import embedding, epochs
from training.reporting.chart_classes import draw_confidence, draw_confusion, draw_embedding, draw_mistakes
from training.reporting.chart_epochs import MARKED, draw_accuracies, draw_gradient_norms, draw_information
from training.reporting.chart_modalities import draw_distance_by_weight, draw_distances, draw_realisability
from training.reporting.confidence import FUSED, Mistake, confidence, confusion, mistakes
from training.reporting.style import DARK, LIGHT, LONGEST_NAME, MARKERS, class_names, marker, render


def scores(count: int = 30, classes: int = 4, absent: int | None = 3) -> Scores:
    """Random outputs; one class has no samples."""
    generator = np.random.default_rng(0)
    labels = generator.choice([label for label in range(classes) if label != absent], count)
    shares = {name: generator.normal(0, 2, (count, classes)).astype(np.float32) for name in ("video", "audio")}
    return Scores(labels, np.arange(count), shares["video"] + shares["audio"], shares)


def test_confidence_is_the_mean_probability_of_the_true_class() -> None:
    given = scores()
    found = confidence(given)
    assert list(found.means) == ["video", "audio", FUSED]
    for name, logits in {**given.shares, FUSED: given.logits}.items():
        for label in range(4):
            said = []
            for row, true in zip(logits.tolist(), given.labels, strict=True):
                if true == label:
                    said.append(math.exp(row[label]) / sum(math.exp(value) for value in row))
            assert found.counts[label] == len(said)
            if said:
                assert found.means[name][label] == pytest.approx(sum(said) / len(said), rel=1e-5)
            else:
                assert math.isnan(found.means[name][label])


def test_of_many_classes_those_come_first_that_the_modalities_see_most_differently() -> None:
    found = confidence(scores(200, 12, absent=7))
    assert found.most_different(11) == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    apart = {label: abs(found.means["video"][label] - found.means["audio"][label]) for label in range(12) if label != 7}
    assert found.most_different(3) == sorted(apart, key=lambda label: -apart[label])[:3]


def test_confusion_counts_what_is_taken_for_what() -> None:
    given = scores()
    expected = [[0] * 4 for _ in range(4)]
    for row, true in zip(given.logits.tolist(), given.labels, strict=True):
        expected[true][row.index(max(row))] += 1
    matrix = confusion(given)
    assert matrix.tolist() == expected
    found = mistakes(matrix, 3)
    wrong = {(t, p): expected[t][p] for t in range(4) for p in range(4) if t != p}
    assert [one.samples for one in found] == sorted(wrong.values(), reverse=True)[:3]
    assert all(one.samples == wrong[one.true, one.taken_for] and one.of == sum(expected[one.true]) for one in found)
    assert mistakes(np.diag([3, 4]), 5) == []


def history(folder: Path, **changes: object) -> Path:
    def entry(epoch: int) -> dict[str, object]:
        own = {"audio": 0.1 * epoch, "video": 0.2}
        validation = {"accuracy": 0.3 * epoch, "macro_f1": 0.2, "modality_accuracy": own, "samples": 9}
        return {"epoch": epoch, "loss": {"task": 1.0}, "validation": validation, **changes}

    (folder / checkpoint.HISTORY).write_text(json.dumps([entry(1), entry(2)]))
    return folder


def test_the_history_becomes_a_series_for_each_line(tmp_path: Path) -> None:
    norms = {"task": {"audio": 1.0, "video": 0.5}, "information": {"audio": 0.0, "video": 0.1}}
    found = epochs.read_history(history(tmp_path, information_bound=-1.5, gradient_norms=norms, anchors_used=1.0))
    assert epochs.accuracies(found) == {"audio": [0.1, 0.2], "video": [0.2, 0.2], FUSED: [0.3, 0.6]}
    assert epochs.information(found) == {"information_bound": [-1.5, -1.5]}
    assert epochs.gradient_norms(found) == {
        "task": {"audio": [1.0, 1.0], "video": [0.5, 0.5]},
        "information": {"audio": [0.0, 0.0], "video": [0.1, 0.1]},
    }


def test_a_history_without_information_or_norms_has_no_such_series(tmp_path: Path) -> None:
    found = epochs.read_history(history(tmp_path))
    assert epochs.information(found) == {} and epochs.gradient_norms(found) == {}


@pytest.mark.parametrize("content", [None, "[", "[]", "{}", '[{"epoch": 1}]', '[{"epoch": "x", "validation": 3}]'])
def test_a_history_that_is_absent_or_damaged_is_an_error(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / checkpoint.HISTORY).write_text(content)
    with pytest.raises(CheckpointError, match=r"history\.json"):
        epochs.read_history(tmp_path)


def test_joint_features_are_unit_features_side_by_side() -> None:
    features = {"audio": np.array([[3.0, 4.0], [0.0, 0.0]], np.float32), "video": np.array([[2.0], [-5.0]], np.float32)}
    assert embedding.joint(features).tolist() == pytest.approx(np.array([[0.6, 0.8, 1.0], [0.0, 0.0, -1.0]]))


def test_the_plane_is_the_same_each_time_and_keeps_neighbours_together() -> None:
    generator = np.random.default_rng(0)
    points = np.concatenate([generator.normal(centre, 0.1, (10, 5)) for centre in (0, 5)]).astype(np.float32)
    found, again = embedding.embed(points), embedding.embed(points)
    assert found is not None and again is not None
    assert np.array_equal(found, again)
    middles = found[:10].mean(axis=0), found[10:].mean(axis=0)
    nearest = [min((0, 1), key=lambda side: float(np.linalg.norm(point - middles[side]))) for point in found]
    assert nearest == [0] * 10 + [1] * 10


@pytest.mark.parametrize("points", [np.random.default_rng(0).normal(size=(3, 4)), np.ones((20, 4))])
def test_too_few_or_equal_points_have_no_plane(points: np.ndarray) -> None:
    assert embedding.embed(points.astype(np.float32)) is None


def test_perplexity_is_limited_by_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    assert embedding.perplexity(1000) == 30.0
    assert embedding.perplexity(10) == 3.0
    assert embedding.embed(np.random.default_rng(0).normal(size=(embedding.LEAST, 3)).astype(np.float32)) is not None
    monkeypatch.setattr(embedding, "MOST", 5)
    assert len(set(embedding.shown(50).tolist())) == 5 and embedding.shown(5).tolist() == [0, 1, 2, 3, 4]


def test_class_names_fit_and_stay_apart() -> None:
    long = "a" * 30
    found = class_names(["cat", "two\nlines", long + "b" + long, long + "c" + long, "\U0001f9ff", ""])
    assert found[:2] == ["cat", "two lines"]
    assert found[4:] == ["class 5", "class 6"]
    assert found[2].startswith("3. aaa") and found[3].startswith("4. aaa")
    assert all(len(name) <= LONGEST_NAME for name in found)


def test_every_modality_has_its_own_colour_and_marker() -> None:
    for theme in (LIGHT, DARK):
        assert len({theme.modality(name) for name in (*MODALITIES, FUSED)}) == len(MODALITIES) + 1
    assert len({marker(name) for name in (*MODALITIES, FUSED)}) == len(MODALITIES) + 1


def test_names_that_matplotlib_would_read_as_its_own_are_drawn() -> None:
    labels = ["_hidden", "$x", "$x$ and ${", "\U0001f9ff"]
    given = scores()
    points = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    for picture in (
        render(lambda theme: draw_confidence(confidence(given), labels, theme), LIGHT),
        render(lambda theme: draw_confusion(confusion(given), labels, theme), DARK),
        render(lambda theme: draw_embedding(points, given.labels, labels, theme), LIGHT),
        render(lambda theme: draw_mistakes([Mistake(0, 1, 2, 3)], labels, theme), DARK),
    ):
        assert picture.startswith(b"\x89PNG")


def test_of_many_classes_the_largest_are_told_apart_in_the_plane() -> None:
    targets = np.repeat(np.arange(40), np.arange(1, 41))
    points = np.random.default_rng(0).normal(size=(len(targets), 2)).astype(np.float32)
    (legend,) = draw_embedding(points, targets, [f"number {label}" for label in range(40)], LIGHT).legends
    expected = [*(f"number {label}" for label in range(30, 40)), "30 other classes"]
    assert [text.get_text() for text in legend.get_texts()] == expected


def test_pairs_without_a_figure_are_drawn_as_none() -> None:
    """No class with two samples has no distance within; constant features have no relative error."""
    nothing = Distance(0.1, math.nan, {}, 1.0)
    pair = ("audio", "video")
    by_weight = {0.0: [nothing, nothing], 0.1: [nothing]}
    for draw in (
        partial(draw_distances, {pair: nothing}),
        partial(draw_distance_by_weight, {pair: by_weight}),
        partial(draw_realisability, {pair: Realisability(0.0, 0.0, 1.0)}),
    ):
        assert render(draw, LIGHT).startswith(b"\x89PNG")


def test_a_term_without_a_norm_above_0_is_not_said_to_be_0_where_it_is_absent() -> None:
    nothing = {"memory": {"audio": [math.nan, math.nan]}, "entropy_audio": {"audio": [0.0, math.nan]}}
    figure = draw_gradient_norms([1, 2], {"task": {"audio": [1.0, 0.1]}, **nothing}, 2, LIGHT)
    said = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert said == [[], ["absent in every epoch"], ["0 or absent in every epoch"]]
    assert render(lambda theme: draw_gradient_norms([1, 2], nothing, 2, theme), LIGHT)


@pytest.mark.parametrize("count", [MARKED, MARKED + 1])
def test_epochs_that_stand_alone_have_a_marker_however_many_there_are(count: int) -> None:
    values = [1.0 if epoch % 8 in (0, 4, 5) else math.nan for epoch in range(count)]
    alone = [epoch for epoch in range(count) if epoch % 8 == 0]
    numbers = list(range(1, count + 1))
    norms = draw_gradient_norms(numbers, {"memory": {"audio": values, "video": [1.0] * count}}, 1, LIGHT)
    information = draw_information(numbers, {"information": values}, 1, LIGHT)
    few = count <= MARKED
    audio, video = norms.axes[0].lines
    for line in (audio, information.axes[0].lines[0]):
        assert line.get_marker() in list(MARKERS) and line.get_markevery() == (None if few else alone)
    assert (video.get_marker() == "") == (not few)


def test_a_single_epoch_shows_the_fused_accuracy() -> None:
    lines = draw_accuracies([1], {"audio": [0.5], FUSED: [0.6]}, 0.1, 1, LIGHT).axes[0].lines
    assert [line.get_marker() for line in lines[:2]] == [marker("audio"), marker(FUSED)]


def test_a_term_that_never_pulls_is_said_to_be_0() -> None:
    norms = {"task": {"audio": [1.0, 0.1]}, "information": {"audio": [0.0, 0.0]}}
    figure = draw_gradient_norms([1, 2], norms, 2, LIGHT)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [[], ["0 in every epoch"]]
    assert render(lambda theme: draw_gradient_norms([1], {"task": {"audio": [0.0]}}, 1, theme), DARK)
