"""What a classifier makes of corrupted samples: measured as a naive loop would, and on the samples asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import Fit
from tests.training.tables import Row, without, write_csv
from training import scoring
from training.checkpoint import SCORES, read
from training.corrupting import MOST, Corrupted, chosen, exchanged
from training.corruptions.corruption import SEVERITIES, Subject
from training.corruptions.known import CORRUPTIONS, EXCHANGED, SHARES
from training.measures.robustness import Curve, Outputs, Standard, standing
from training.measures.selective import risk_coverage
from training.reporting.features import restore

NAMES = ("text", "genomics", "image")


def test_a_standing_equals_a_naive_count() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 80)
    shares = {name: generator.normal(0, 2, (80, 3)).astype(np.float32) for name in ("audio", "text")}
    shifts = {name: generator.uniform(0, 2, 80).astype(np.float32) for name in shares}
    logits = shares["audio"] + shares["text"]
    found = standing(Outputs(logits, shares, shifts), labels, Standard(1.7, {"audio": 1.5, "text": 1.8}))
    right, confidences, apart, unusual = [], [], 0, 0
    for row in range(80):
        beyond = max(1.0, shifts["audio"][row] / 1.5, shifts["text"][row] / 1.8) ** 2
        values = np.exp(logits[row].astype(float) / (1.7 * beyond))
        confidences.append(float(max(values) / sum(values)))
        right.append(int(np.argmax(logits[row])) == labels[row])
        apart += int(np.argmax(shares["audio"][row])) != int(np.argmax(shares["text"][row]))
        unusual += shifts["audio"][row] > 1.5 or shifts["text"][row] > 1.8
    assert found.accuracy.value == sum(right) / 80 and found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert found.confidence == pytest.approx(sum(confidences) / 80, rel=1e-6)
    assert found.disagreement == apart / 80 and found.unusual == unusual / 80
    assert found.area == pytest.approx(risk_coverage(np.array(confidences), np.array(right)).area, rel=1e-9)
    one = standing(Outputs(logits, shares, shifts), labels, Standard(1.7, {"text": 1.8}))
    assert one.unusual == float((shifts["text"] > 1.8).mean())
    assert standing(Outputs(logits, shares, shifts), labels, Standard(1.7, {})).unusual is None


def test_a_larger_share_exchanges_the_same_samples_and_more() -> None:
    before = np.zeros(50, bool)
    for share in SHARES:
        found = exchanged(50, share, (0, 1))
        assert found.tolist() == exchanged(50, share, (0, 1)).tolist()
        struck = found != np.arange(50)
        assert struck.sum() == round(share * 50) and not (before & ~struck).any()
        before = struck
    assert exchanged(50, 0.4, (0, 1)).tolist() != exchanged(50, 0.4, (0, 2)).tolist()
    assert exchanged(1, 1.0, (0, 1)).tolist() == [0], "there is no other"


def test_of_many_samples_some_are_corrupted_evenly() -> None:
    assert chosen(7).tolist() == list(range(7))
    found = chosen(10 * MOST)
    assert len(set(found.tolist())) == MOST and found[0] == 0 and found[-1] == 10 * MOST - 1
    assert set(np.diff(found).tolist()) <= {10, 11}


@pytest.fixture
def run(fit: Fit, rows: list[Row], tmp_path: Path) -> Path:
    table = write_csv(tmp_path / "some.csv", without(rows, "audio", "video", "pathology"))
    assert fit(table, "--method", "joint", "--modalities", *NAMES, "--epochs", 2) == 0
    return tmp_path / "run"


def test_curves_begin_at_the_samples_as_they_are_and_end_at_the_worst(run: Path) -> None:
    kept, scores = read(run), scoring.load(run / SCORES)["test"]
    prepared, standard = restore(kept), Standard(2.0, {"text": max(0.1, float(np.median(scores.shifts["text"])))})
    corrupted = Corrupted(kept.model(), prepared, scores.samples, standard, seed=3, batch=4)
    curves: list[Curve] = list(corrupted)
    assert len(curves) == len(corrupted) == sum(len(CORRUPTIONS[name]) + 1 for name in NAMES)
    assert len({curve.title for curve in curves}) == len(curves)
    plain = standing(Outputs(scores.logits, scores.shares, scores.shifts), scores.labels, standard)
    for curve in curves:
        first = curve.standings[0]
        assert len(curve.standings) == SEVERITIES + 1 and len(curve.levels) == SEVERITIES
        assert (first.accuracy, first.unusual, first.disagreement) == (
            plain.accuracy,
            plain.unusual,
            plain.disagreement,
        )
        assert first.confidence == pytest.approx(plain.confidence, abs=1e-5)
    again = list(Corrupted(kept.model(), prepared, scores.samples, standard, seed=3, batch=64))
    for one, other in zip(curves, again, strict=True):
        assert one.standings[-1].confidence == pytest.approx(other.standings[-1].confidence, abs=1e-5)
    assert curves[0].modality == "text" and curves[0].corruption == "tokens lost"


def test_only_the_corrupted_modality_is_changed(run: Path) -> None:
    """The genes' noise of severity 4, and the pictures of other samples, through the whole model."""
    kept, scores = read(run), scoring.load(run / SCORES)["test"]
    prepared, model = restore(kept), kept.model()
    curves = {curve.title: curve for curve in Corrupted(model, prepared, scores.samples, Standard(1.0, {}), seed=3)}
    arrays = {name: [prepared.arrays[name][index] for index in scores.samples] for name in NAMES}

    def confidence(changed: dict[str, list[np.ndarray]]) -> float:
        inputs = {
            name: torch.from_numpy(kind.stack([kind.normalise(array) for array in {**arrays, **changed}[name]]))
            for name, kind in prepared.modalities.items()
        }
        with torch.no_grad():
            return float(model(inputs).logits.softmax(dim=1).amax(dim=1).mean())

    kind, noise = prepared.modalities["genomics"], CORRUPTIONS["genomics"][0]
    noisy = [
        noise.apply(Subject(np.asarray(array), kind, ""), 4, (3, int(index), 0))
        for array, index in zip(arrays["genomics"], scores.samples, strict=True)
    ]
    assert curves["genomics: noise"].standings[4].confidence == pytest.approx(confidence({"genomics": noisy}), abs=1e-5)
    others = exchanged(len(scores.samples), SHARES[2], (3, NAMES.index("image")))
    pictures = [arrays["image"][other] for other in others]
    found = curves[f"image: {EXCHANGED}"].standings[3]
    assert found.confidence == pytest.approx(confidence({"image": pictures}), abs=1e-5)
    assert found.confidence != curves[f"image: {EXCHANGED}"].standings[0].confidence
