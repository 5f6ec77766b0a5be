"""The client against a real server process."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle.predictor import Predictor
from clients.errors import ConnectionFailed, InvalidRequest, NotFound, TooLarge, UnsupportedMedia
from clients.payloads import Payload
from clients.rest import Client
from tests.bundles import PAIRINGS, build_bundle
from tests.clients.conftest import Ask
from tests.serving.process import Server, environment, free_port, serving

pytest.importorskip("bentoml")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {pairing: build_bundle(folder / "-".join(pairing), pairing) for pairing in PAIRINGS}


@pytest.fixture(scope="module")
def server(bundles: dict[tuple[str, ...], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    variables = environment(folder / "home", bundles=",".join(map(str, bundles.values())))
    with serving(folder, variables) as started:
        started.wait_for("/readyz", 200)
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as opened:
        yield opened


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_answers_are_those_of_the_bundle(
    client: Client, bundles: dict[tuple[str, ...], Path], pairing: tuple[str, ...], tmp_path: Path
) -> None:
    predictor = Predictor(bundles[pairing])
    generator = np.random.default_rng(5)
    sample = {name: modality.example(generator) for name, modality in predictor.modalities.items()}
    [expected] = predictor.predict([sample])
    paths = {name: tmp_path / name for name in sample}
    for name, path in paths.items():
        path.write_bytes(sample[name])
    asked: list[tuple[str | None, dict[str, Payload]]] = [(None, {**sample}), (expected.model, {**paths})]
    for model, given in asked:
        answer = client.predict(model=model, require_all=True, abstain_below=0.5, **given)
        assert answer.model == expected.model
        assert [entry.label for entry in answer.predictions] == [entry.label for entry in expected.predictions]
        for found, stated in zip(answer.predictions, expected.predictions, strict=True):
            assert found.probability == pytest.approx(stated.probability, abs=1e-5)
        assert answer.modalities.keys() == expected.modalities.keys() and answer.missing == ()
        for name, own in answer.modalities.items():
            assert own.contribution == pytest.approx(expected.modalities[name].contribution, abs=1e-5)
        assert answer.abstain == expected.abstaining(0.5).abstain
        assert answer.timing.total >= answer.timing.infer > 0


def test_a_sample_may_lack_what_its_model_takes(client: Client, bundles: dict[tuple[str, ...], Path]) -> None:
    [expected] = Predictor(bundles["image", "text"]).predict([{"text": "red house"}])
    answer = client.predict(text="red house", abstain_below=1)
    assert answer.missing == expected.missing == ("image",) and answer.abstain
    assert answer.baseline == pytest.approx(expected.baseline) and answer.modalities == {
        "text": expected.modalities["text"]
    }
    with pytest.raises(InvalidRequest) as strict:
        client.predict(text="red house", require_all=True)
    assert strict.value.field == "image" and strict.value.received == "only text"
    assert client.predict(text="red house", require_all=False).missing == ("image",)
    [model] = [model for model in client.models() if model.name == "image-text"]
    assert model.may_be_missing == ("image", "text") and model.expectations == {} and model.abstain_below is None


def test_texts_and_numbers_go_inline(client: Client, bundles: dict[tuple[str, ...], Path]) -> None:
    generator = np.random.default_rng(5)
    image = Predictor(bundles["image", "text"]).modalities["image"].example(generator)
    tile = Predictor(bundles["pathology", "genomics"]).modalities["pathology"].example(generator)
    for text in ("red house", "123", "null", "x" * 70_000):
        assert client.predict(image=image, text=text).model == "image-text"
    assert client.predict(pathology=tile, genomics={"gene_B": 1.5, "gene_A": None}).model == "pathology-genomics"
    assert client.predict(pathology=tile, genomics=[1.0, 2.0, None, 4.0]).model == "pathology-genomics"


def test_the_models_are_listed(client: Client) -> None:
    models = {model.name: model for model in client.models()}
    assert set(models) == {"-".join(pairing) for pairing in PAIRINGS}
    assert [entry.name for entry in models["audio-video"].inputs] == ["audio", "video"]
    assert models["image-text"].provider == "CPUExecutionProvider"


def test_refusals_arrive_as_their_classes(client: Client) -> None:
    with pytest.raises(UnsupportedMedia) as foreign:
        client.predict(image=b"a text", text="red house")
    assert foreign.value.problem.field == "image"
    with pytest.raises(InvalidRequest) as empty:
        client.predict(image=b"", text="red house")
    assert empty.value.field == "image" and empty.value.received == "an empty file"
    with pytest.raises(NotFound, match="possible are"):
        client.predict(image=b"x", text="red house", model="another")


def test_a_large_file_is_refused_before_it_is_sent(ask: Ask, client: Client, server: Server, large: Path) -> None:
    with pytest.raises(TooLarge, match="a request may have at most"):
        ask(server.url, video=large, audio=b"x")
    assert client.models()


def test_nobody_listening_is_a_failed_connection() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", retries=0) as client, pytest.raises(ConnectionFailed):
        client.models()
