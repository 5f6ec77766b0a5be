"""What an answer loses with another sample's modality, against a loop."""

from itertools import count

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.training.tiny import THREE, TWO, batches, classifier
from training import deletion
from training.deletion import deletions
from training.evaluate import Encoded, collect, encode
from training.finishing import examine
from training.model import Classifier


def encoded(model: Classifier, samples: int) -> Encoded:
    generator = torch.Generator().manual_seed(0)
    widths = {name: int(encoder.width) for name, encoder in model.encoders.items()}  # type: ignore[arg-type]
    found = {name: torch.randn(samples, width, generator=generator) for name, width in widths.items()}
    return Encoded(torch.zeros(samples, dtype=torch.long), torch.arange(samples), found)


@pytest.mark.parametrize("names", [TWO, THREE], ids=["two", "three"])
def test_the_loss_is_that_of_a_loop_over_the_chosen_others(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(names).eval()
    data, turns = encoded(model, 7), count(1)
    chosen: list[np.ndarray] = []

    def others(samples: int, generator: np.random.Generator) -> np.ndarray:
        chosen.append((np.arange(samples) + next(turns) % (samples - 1) + 1) % samples)
        return chosen[-1]

    monkeypatch.setattr(deletion, "_others", others)
    found = deletions(model, data, seed=0, batch=3)
    with torch.no_grad():
        whole = model.fuse(data.features).logits.softmax(dim=1)
        for position, name in enumerate(names):
            picked = chosen[position * deletion.REPEATS : (position + 1) * deletion.REPEATS]
            for row in range(7):
                best, drops = int(whole[row].argmax()), []
                for rows in picked:
                    one = {key: values[row : row + 1].clone() for key, values in data.features.items()}
                    one[name] = data.features[name][rows[row]][None]
                    drops.append(float(whole[row, best] - model.fuse(one).logits.softmax(dim=1)[0, best]))
                assert found[name][row] == pytest.approx(np.mean(drops), abs=1e-5)


def test_no_sample_is_replaced_by_itself_and_all_others_are_as_likely() -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([deletion._others(5, generator) for _ in range(4000)])
    assert (drawn != np.arange(5)).all()
    for row in range(5):
        shares = np.bincount(drawn[:, row], minlength=5) / 4000
        assert np.delete(shares, row) == pytest.approx(0.25, abs=0.03)


def test_scores_and_deletions_come_from_one_pass_over_a_split() -> None:
    model, found, accelerator = classifier(THREE).eval(), batches(2, THREE), Accelerator(cpu=True)
    passes = []
    model.encoders["image"].register_forward_hook(lambda *_: passes.append(1))
    scores = examine(model, found, accelerator, seed=0)
    assert len(passes) == len(found)
    plain, again = collect(model, found, accelerator), encode(model, found, accelerator)
    assert np.array_equal(scores.logits, plain.logits) and np.array_equal(scores.samples, again.samples.numpy())
    expected = deletions(model, again, seed=0)
    assert all(np.array_equal(scores.deletions[name], expected[name]) for name in THREE)


def test_a_single_sample_has_no_other() -> None:
    model = classifier(TWO).eval()
    assert all(values.tolist() == [0.0] for values in deletions(model, encoded(model, 1), seed=0).values())
