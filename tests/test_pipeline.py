"""The whole way, for each pairing: generated files, a training, an export, a real server, a client's answer."""

import csv
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.predictor import Predictor
from bundle.selfcheck import selfcheck
from clients.rest import Client
from export.__main__ import main as export
from tests.bundles import PAIRINGS
from tests.conftest import ROOT
from tests.serving.process import Server, environment, serving
from tests.trained import agrees, held_out, payloads
from training.checkpoint import Checkpoint, read
from training.fit import main as fit

pytest.importorskip("bentoml")

SMALL = {
    "audio": "--audio.encoder.width 16",
    "video": "--video.size 24 --video.encoder.width 16",
    "image": "--image.size 24 --image.encoder.width 16",
    "text": "--text.encoder.width 16 --text.encoder.layers 1 --text.encoder.heads 2",
    "pathology": "--pathology.size 24 --pathology.encoder.width 16",
    "genomics": "",
}


@dataclass(frozen=True)
class Trained:
    run: Checkpoint
    bundle: Path
    table: Path


def train(modalities: tuple[str, ...]) -> Trained:
    """Train and export in the working folder, with paths as a user types them."""
    name = "-".join(modalities)
    options = " ".join(SMALL[modality] for modality in modalities).split()
    options += ["--dataset.folder", "data", "--dataset.samples", "80", "--modalities", *modalities]
    assert fit([*options, "--epochs", "2", "--out", f"runs/{name}"]) == 0
    assert export([f"runs/{name}", "--to", f"bundles/{name}"]) == 0
    [table] = Path("data").glob(f"{name}-*/table.csv")
    return Trained(read(Path("runs", name).resolve()), Path("bundles", name).resolve(), table.resolve())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its path, from which the programs of this checkout run."""
    folder = tmp_path_factory.mktemp("pipeline") / "my check out"
    folder.mkdir()
    for package in ("bundle", "serving"):
        (folder / package).symlink_to(ROOT / package)
    return folder


@pytest.fixture(scope="module")
def trained(checkout: Path) -> dict[tuple[str, ...], Trained]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout)
        return {pairing: train(pairing) for pairing in PAIRINGS}


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
