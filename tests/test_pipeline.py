"""The whole way, for each pairing: generated files, a training, an export, a real server, a client's answer."""

import csv
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from clients.rest import Client
from tests import pipeline
from tests.bundles import PAIRINGS
from tests.pipeline import Trained
from tests.serving.process import Server, environment, serving
from tests.trained import agrees, held_out, payloads

pytest.importorskip("bentoml")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipeline.checkout(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Trained]:
    return pipeline.trained(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def server(checkout: Path, trained: dict[tuple[str, ...], Trained]) -> Iterator[Server]:
    """One server for all three, started with relative paths; it must stop when it is asked to."""
    bundles = ",".join(f"bundles/{entry.bundle.name}" for entry in trained.values())
    with serving(checkout, environment(checkout / "home", bundles=bundles), cwd=checkout) as started:
        started.wait_for("/readyz", 200)
        yield started
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(30) == 0, started.log()[-3000:]
        assert "Traceback" not in started.log()


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_a_client_is_answered_what_the_trained_model_says(
    server: Server, trained: dict[tuple[str, ...], Trained], pairing: tuple[str, ...]
) -> None:
    found = trained[pairing]
    with Client(server.url) as client:
        for sample in held_out(found.table, pairing, 3):
            answer = client.predict(model=None, require_all=None, abstain_below=None, **sample)
            assert answer.model == found.bundle.name
            agrees(found.run, sample, answer)


def test_all_three_models_are_listed_with_their_labels(server: Server, trained: dict[tuple[str, ...], Trained]) -> None:
    with Client(server.url) as client:
        models = {model.name: model for model in client.models()}
    assert set(models) == {"-".join(pairing) for pairing in PAIRINGS}
    for pairing, found in trained.items():
        assert models["-".join(pairing)].labels == found.run.labels
        assert tuple(entry.name for entry in models["-".join(pairing)].inputs) == pairing


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_the_measured_accuracy_is_that_of_the_served_answers(
    trained: dict[tuple[str, ...], Trained], pairing: tuple[str, ...]
) -> None:
    found = trained[pairing]
    predictor = Predictor(found.bundle)
    assert selfcheck(predictor) == 4
    with found.table.open(newline="", encoding="utf-8") as file:
        labels = [row["label"] for row in csv.DictReader(file) if row["split"] == "test"]
    samples = held_out(found.table, pairing, len(labels))
    answers = predictor.predict([payloads(sample) for sample in samples])
    right = sum(answer.predictions[0].label == label for answer, label in zip(answers, labels, strict=True))
    assert right / len(labels) == pytest.approx(found.run.metrics["test"]["accuracy"])
