"""What the objective is timed against computes the same thing, and the timing takes turns."""

import copy

import pytest
import torch

from benchmarks import per_sample, scaling
from benchmarks.timing import interleaved, median_ratio, milliseconds, repeated
from benchmarks.workload import NAMES, Shapes, Stream, filled
from training.critics import Cosine


@pytest.mark.parametrize(
    "shapes",
    [
        Shapes(classes=3, memory=50, batch=12, width=7, negatives=3),
        Shapes(classes=40, memory=20, batch=12, width=7, negatives=4),  # contexts with few false pairs, or none
    ],
)
def test_the_sample_by_sample_objective_is_the_vectorised_one_in_value_gradient_and_state(shapes: Shapes) -> None:
    stream = Stream(shapes)
    method = filled(shapes, stream)
    plain = copy.deepcopy(method)
    features, batch = stream.draw()
    twin = {name: values.detach().clone().requires_grad_() for name, values in features.items()}
    choose = per_sample.choose_as_drawn(plain, batch)
    found = method.objective(features, batch)
    expected = per_sample.objective(plain, twin, batch, choose)
    torch.testing.assert_close(found, expected)
    inputs = [*features.values(), *method.critic.parameters()]
    others = [*twin.values(), *plain.critic.parameters()]
    for one, other in zip(torch.autograd.grad(found, inputs), torch.autograd.grad(expected, others), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for name in NAMES:
        torch.testing.assert_close(method.memory.projections(name), plain.memory.projections(name))
    assert isinstance(method.critic, Cosine) and isinstance(plain.critic, Cosine)
    shifts = [critic.normaliser(NAMES) for critic in (method.critic, plain.critic)]
    torch.testing.assert_close(*shifts, equal_nan=True)


@pytest.mark.parametrize("available", [2, 9])
def test_a_sample_that_draws_for_itself_faces_its_own_entries(available: int) -> None:
    choose = per_sample.choose_afresh(5, torch.Generator().manual_seed(0))
    entries = torch.arange(100, 100 + available)
    found = choose(0, 0, entries)
    assert found.shape == (5,)
    assert set(found.tolist()) <= set(entries.tolist())
    assert len(set(found.tolist())) == min(available, 5)


def test_tasks_take_turns_and_the_first_rounds_do_not_count() -> None:
    calls: list[str] = []
    times = interleaved({"one": lambda: calls.append("one"), "two": lambda: calls.append("two")}, 2, warmup=1)
    assert calls == ["two", "one", "one", "two", "two", "one"]
    assert [len(seconds) for seconds in times.values()] == [2, 2]
    assert median_ratio([2.0, 9.0, 4.0], [1.0, 1.0, 2.0]) == 2.0
    assert milliseconds([0.3, 0.1, 0.2]) == 200.0
    repeated(lambda: calls.append("short"), 3)()
    assert calls[-3:] == ["short"] * 3


def test_a_cost_on_a_line_is_found_to_lie_on_it() -> None:
    costs = {size: 5.0 + 0.25 * size for size in (8, 16, 32, 64)}
    assert scaling.line(costs) == pytest.approx((5.0, 0.25))
    assert scaling.distance(costs) == pytest.approx(0.0, abs=1e-9)
    assert scaling.doublings(costs) == pytest.approx({16: 9 / 7, 32: 13 / 9, 64: 21 / 13})
    assert scaling.distance({**costs, 64: 30.0}) > 0.05
