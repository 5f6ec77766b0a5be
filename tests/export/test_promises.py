"""A graph whose outputs contradict one another, or that looks at what is absent, is refused."""

from pathlib import Path

import numpy as np
import pytest

from bundle.manifest import GRAPH
from bundle.modalities import Array
from export.errors import ValueMismatch
from export.feeds import Feed, masked, overwritten, random_feed, stack
from export.graph import Graph, declare
from export.parity import load, prove_values
from export.promises import prove_absence, prove_alone, prove_coalitions, prove_shares
from tests.bundles import tiny_modality
from tests.export.altered import (
    Change,
    centred_on_the_batch,
    changed,
    distance_of_what_is_absent,
    looking_at_absent_pixels,
    looking_at_what_is_absent,
    perturbed_coalition,
    saved,
    shifted_coalitions,
    shifted_logits,
)
from tests.export.conftest import Exported

NAMES = ("pathology", "genomics")
HALF: Array = np.array([[True, True], [True, False], [False, True], [False, False], [True, False]])


def feed_of(one: Exported) -> Feed:
    return masked(random_feed(one.run.modalities, 5, np.random.default_rng(0)), HALF)


def test_shares_that_do_not_add_up_are_a_value_mismatch(one: Exported, tmp_path: Path) -> None:
    declaration = declare(one.run.modalities, 3)
    graph = Graph(one.run.model(), declaration)
    feed = random_feed(one.run.modalities, 5, np.random.default_rng(0))
    session = saved(changed(one, shifted_logits), tmp_path)
    prove_values(session, graph, [feed], list(declaration.outputs))
    with pytest.raises(ValueMismatch, match="do not add up"):
        prove_shares(session, [feed])


def test_an_answer_that_depends_on_its_batch_mates_is_a_value_mismatch(one: Exported, tmp_path: Path) -> None:
    feed = random_feed(one.run.modalities, 3, np.random.default_rng(0))
    alone = [{name: array[row : row + 1] for name, array in feed.items()} for row in range(3)]
    prove_alone(load(one.bundle / GRAPH), feed, alone)
    with pytest.raises(ValueMismatch, match="alone and in a batch"):
        prove_alone(saved(changed(one, centred_on_the_batch), tmp_path), feed, alone)


@pytest.mark.parametrize("change", [perturbed_coalition, shifted_coalitions, shifted_logits])
def test_coalitions_that_are_not_the_logits_of_those_modalities_are_a_value_mismatch(
    one: Exported, change: Change, tmp_path: Path
) -> None:
    prove_coalitions(load(one.bundle / GRAPH), [feed_of(one)], NAMES)
    with pytest.raises(ValueMismatch, match=r"coalition '.*' differs by .* from the logits"):
        prove_coalitions(saved(changed(one, change), tmp_path), [feed_of(one)], NAMES)


@pytest.mark.parametrize("change", [looking_at_what_is_absent, looking_at_absent_pixels])
def test_a_graph_that_looks_at_what_is_absent_is_a_value_mismatch(
    one: Exported, change: Change, tmp_path: Path
) -> None:
    prove_absence(load(one.bundle / GRAPH), one.run.modalities, [feed_of(one)])
    with pytest.raises(ValueMismatch, match=r"depends on what stands|of an absent modality is not 0"):
        prove_absence(saved(changed(one, change), tmp_path), one.run.modalities, [feed_of(one)])


def test_a_distance_of_what_is_absent_is_a_value_mismatch(one: Exported, tmp_path: Path) -> None:
    with pytest.raises(ValueMismatch, match="shift_pathology of an absent modality is not 0"):
        prove_absence(saved(changed(one, distance_of_what_is_absent), tmp_path), one.run.modalities, [feed_of(one)])


def test_what_is_absent_is_overwritten_and_nothing_else() -> None:
    modalities = {name: tiny_modality(name) for name in ("text", "image", "audio")}
    feed = random_feed(modalities, 40, np.random.default_rng(1))
    assert set(map(tuple, feed["present"].tolist())) > {(True, True, True), (False, False, False)}
    for number in range(3):
        found = overwritten(modalities, feed, number)
        for position, name in enumerate(modalities):
            there = feed["present"][:, position]
            np.testing.assert_array_equal(found[name][there], feed[name][there])
            assert (found[name][~there] != feed[name][~there]).mean() > 0.9
            assert found[name].dtype == feed[name].dtype
    assert np.isnan(overwritten(modalities, feed, 0)["audio"][~feed["present"][:, 2]]).all()


def test_samples_that_lack_modalities_are_stacked_with_blanks() -> None:
    modalities = {name: tiny_modality(name) for name in ("text", "genomics")}
    genes = np.ones(4, np.float32)
    found = stack(modalities, [{"genomics": genes}, {"text": np.array([2, 3, 4]), "genomics": genes}])
    assert found["present"].tolist() == [[False, True], [True, True]]
    assert found["text"].shape == (2, 3) and found["genomics"].tolist() == [[1.0] * 4] * 2


def test_a_mask_may_be_the_same_for_all_samples(one: Exported) -> None:
    found = masked(feed_of(one), np.array([True, False]))
    assert found["present"].tolist() == [[True, False]] * 5
