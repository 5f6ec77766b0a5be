"""What a step of InfoBridge queues beside one of joint training, and that nothing of it is waited for."""

import torch

from benchmarks.operations import count
from benchmarks.step import training_steps
from benchmarks.workload import Shapes


def test_operations_are_counted_and_views_are_not() -> None:
    values = torch.ones(4, requires_grad=True)
    found = count(lambda: torch.autograd.grad((values.view(2, 2) * 2).sum(), values))
    assert found.counts["mul"] == 2 and found.counts["sum"] == 1 and "view" in found.counts and found.waits == {}
    assert found.whole == sum(found.counts.values()) and found.counts["view"] == 0
    assert count(lambda: (values.sum().item(), values.nonzero())).waits == {"_local_scalar_dense": 1, "nonzero": 1}


def test_a_step_of_infobridge_waits_for_nothing_and_queues_little_more() -> None:
    steps = training_steps(Shapes(memory=64, batch=8), 32)
    for step in steps.values():
        step()  # the optimisers' state
    joint, bridged = (count(steps[name]) for name in ("joint", "infobridge"))
    assert bridged.waits == joint.waits == {}
    assert 0 < bridged.whole - joint.whole < 260
