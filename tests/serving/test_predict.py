"""Predictions over a real socket: every pairing, every way to send a field, and many at once."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from bundle.modalities import Payload
from bundle.predictor import Predictor
from tests.bundles import PAIRINGS, tiny_modality
from tests.serving.conftest import TWIN
from tests.serving.process import Server
from tests.serving.samples import POISON, payloads, upload


def assert_equals(found: dict[str, Any], bundle: Path, sample: dict[str, Payload]) -> None:
    """The answer is the one of the predictor in this process."""
    [expected] = Predictor(bundle).predict([sample])
    assert found["model"] == expected.model
    assert [entry["label"] for entry in found["predictions"]] == [entry.label for entry in expected.predictions]
    assert [entry["probability"] for entry in found["predictions"]] == pytest.approx(
        [entry.probability for entry in expected.predictions], abs=1e-6
    )
    assert list(found["modalities"]) == list(expected.modalities)
    for name, answer in expected.modalities.items():
        own = found["modalities"][name]
        assert set(own) == {"label", "confidence", "contribution", "shift"} and own["label"] == answer.label
        for number in ("confidence", "contribution", "shift"):
            assert own[number] == pytest.approx(getattr(answer, number), abs=1e-6)
    assert found["baseline"] == pytest.approx(expected.baseline, abs=1e-6)
    for fact in ("missing", "unusual"):
        assert found[fact] == list(getattr(expected, fact))
    for fact in ("disagreement", "abstain"):
        assert found[fact] is getattr(expected, fact)
    assert set(found["timing"]) == {"receive", "decode", "queue", "infer", "total"}
    assert all(value >= 0 for value in found["timing"].values())
    assert found["timing"]["total"] >= found["timing"]["infer"]


@pytest.mark.parametrize("name", ["audio-video", "image-text", "pathology-genomics", TWIN, "fragile"])
def test_uploads_are_answered_as_by_the_predictor(client: httpx.Client, bundles: dict[str, Path], name: str) -> None:
    modalities = Predictor(bundles[name]).manifest.modalities
    sample = payloads(modalities, seed=3) | ({"text": b"red old house"} if name == "fragile" else {})
    response = client.post("/v1/predict", data={"model": name}, files=upload(sample))
    assert response.status_code == 200, response.text
    assert_equals(response.json(), bundles[name], dict(sample))


@pytest.mark.parametrize("pairing", PAIRINGS[:2])
def test_the_set_of_fields_decides_the_model(client: httpx.Client, pairing: tuple[str, ...]) -> None:
    response = client.post("/v1/predict", files=upload(payloads(pairing)))
    assert response.json()["model"] == "-".join(pairing)


@pytest.mark.parametrize("text", ["123", "true", "null", "[1]", '"red"', "naïve 日本"])
def test_a_text_part_is_taken_literally(client: httpx.Client, bundles: dict[str, Path], text: str) -> None:
    sample = payloads(("image",))
    response = client.post("/v1/predict", data={"text": text}, files=upload(sample))
    assert response.status_code == 200, response.text
    assert_equals(response.json(), bundles["image-text"], {**sample, "text": text})


def test_genomics_may_be_a_text_part(client: httpx.Client, bundles: dict[str, Path]) -> None:
    sample = payloads(("pathology",))
    for text in ('{"gene_B": 1.5, "gene_A": null}', "[1, 2, 3, 4]", "gene_C,gene_A\n1.5,NA\n"):
        response = client.post("/v1/predict", data={"genomics": text, "model": TWIN}, files=upload(sample))
        assert response.status_code == 200, response.text
        assert_equals(response.json(), bundles[TWIN], {**sample, "genomics": text})


def test_a_json_body(client: httpx.Client, bundles: dict[str, Path]) -> None:
    sample: dict[str, Any] = {"text": "red naïve house", "genomics": {"gene_A": 1.0, "gene_D": None}}
    for body in (sample, {**sample, "model": "fragile"}):
        response = client.post("/v1/predict", json=body)
        assert response.status_code == 200, response.text
        assert_equals(response.json(), bundles["fragile"], sample)


def test_a_chunked_json_body(client: httpx.Client) -> None:
    body = json.dumps({"text": "red", "genomics": [1, 2, 3, 4]}).encode()
    response = client.post(
        "/v1/predict", content=iter([body[:7], body[7:]]), headers={"content-type": "application/json"}
    )
    assert response.status_code == 200, response.text


def test_one_clip_may_give_both_sound_and_picture(client: httpx.Client, bundles: dict[str, Path]) -> None:
    clip = sounding_clip()
    sample: dict[str, bytes] = {"audio": clip, "video": clip}
    response = client.post("/v1/predict", files=upload(sample))
    assert response.status_code == 200, response.text
    assert_equals(response.json(), bundles["audio-video"], dict(sample))


def sounding_clip() -> bytes:
    """The generated clip of the video modality, with a sound track beside its picture."""
    buffer = io.BytesIO()
    silent = tiny_modality("video").example(np.random.default_rng(0))
    with av.open(io.BytesIO(silent), mode="r") as source, av.open(buffer, mode="w", format="matroska") as target:
        picture = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("pcm_s16le", rate=8000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                target.mux(packet)
        wave = (8000 * np.sin(np.arange(4000) / 5)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.rate = 8000
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return buffer.getvalue()


def test_one_poisonous_request_spoils_no_other(server: Server) -> None:
    """All have texts of like length, so that they share batches."""

    def ask(number: int) -> httpx.Response:
        text = f"red {POISON}" if number == 11 else "red house"
        with server.client() as client:
            return client.post("/v1/predict", json={"text": text, "genomics": {"gene_A": number / 10}})

    with ThreadPoolExecutor(24) as threads:
        responses = list(threads.map(ask, range(24)))
    assert [response.status_code for response in responses] == [200] * 11 + [500] + [200] * 12
    assert responses[11].json()["type"] == "urn:infobridge:problem:internal-error"
    confidences = [r.json()["modalities"]["genomics"]["confidence"] for r in responses if r.status_code == 200]
    assert len(set(confidences)) > 1  # everyone got an answer of their own
    assert POISON not in server.log()


def test_many_pairings_at_once(server: Server, bundles: dict[str, Path]) -> None:
    def ask(number: int) -> tuple[str, dict[str, bytes], dict[str, Any]]:
        name = ("audio-video", "pathology-genomics")[number % 2]
        sample = payloads(PAIRINGS[0] if number % 2 == 0 else PAIRINGS[2], seed=number)
        with server.client() as client:
            response = client.post("/v1/predict", data={"model": name}, files=upload(sample))
        return name, sample, response.json()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(16)))
    for name, sample, answer in answers:
        assert_equals(answer, bundles[name], dict(sample))
