"""Gradient norms of each term at each encoder, against gradients taken one by one."""

import torch
from torch.nn import functional

from tests.training.tiny import THREE, batches, classifier
from training.gradients import Pulls, pulls


def test_norms_are_those_of_each_term_backpropagated_by_itself() -> None:
    (batch,) = batches(1, THREE)
    model = classifier(THREE).eval()

    def terms() -> dict[str, torch.Tensor]:
        out = model(batch.inputs)
        similar = (out.features["image"].mean(dim=1) * out.features["pathology"].mean(dim=1)).mean()
        constant = torch.tensor(3.0)
        return {"task": functional.cross_entropy(out.logits, batch.labels), "similar": similar, "constant": constant}

    found = pulls(terms(), model).terms
    assert all(parameter.grad is None for parameter in model.parameters())
    assert found["constant"] == dict.fromkeys(THREE, 0.0)
    assert found["similar"]["genomics"] == 0.0
    for term in ("task", "similar"):
        model.zero_grad()
        terms()[term].backward()  # type: ignore[no-untyped-call]
        for name in THREE:
            total = 0.0
            for parameter in model.encoders[name].parameters():
                if parameter.grad is not None:
                    total += sum(value**2 for value in parameter.grad.flatten().tolist())
            assert abs(found[term][name] - total**0.5) < 1e-5 * max(total**0.5, 1.0)
    assert found["task"]["image"] > 0 and found["similar"]["image"] > 0


def test_the_terms_can_still_be_minimised_afterwards() -> None:
    (batch,) = batches(1, THREE)
    model = classifier(THREE)
    task = functional.cross_entropy(model(batch.inputs).logits, batch.labels)
    pulls({"task": task}, model)
    task.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.fusion.parameters())


def test_the_gradient_of_the_whole_is_that_of_the_sum_of_the_terms() -> None:
    (batch,) = batches(1, THREE)
    model = classifier(THREE).eval()

    def terms() -> dict[str, torch.Tensor]:
        out = model(batch.inputs)
        pictures = out.features["image"].square().mean()
        return {
            "task": functional.cross_entropy(out.logits, batch.labels),
            "pictures": pictures,
            "opposite": -pictures + 0.1 * out.features["genomics"].square().mean(),
            "constant": torch.tensor(3.0),
        }

    found = pulls(terms(), model)
    model.zero_grad()
    sum(terms().values()).backward()  # type: ignore[union-attr]
    for name in THREE:
        gradients = [parameter.grad for parameter in model.encoders[name].parameters()]
        total = sum(value**2 for one in gradients if one is not None for value in one.flatten().tolist()) ** 0.5
        assert abs(found.together[name] - total) < 1e-5 * total
    assert abs(found.together["image"] - found.terms["task"]["image"]) < 1e-5, "what pulls both ways cancels"
    whole = sum(found.together.values())
    assert found.shares == {name: found.together[name] / whole for name in THREE}
    assert abs(sum(found.shares.values()) - 1) < 1e-12


def test_without_any_gradient_there_are_no_shares() -> None:
    model = classifier(THREE)
    found = pulls({"constant": torch.tensor(3.0)}, model)
    assert found.together == dict.fromkeys(THREE, 0.0) and found.shares == {}
    assert Pulls().shares == {}
