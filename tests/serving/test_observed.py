"""What can be known of a request afterwards: its id, its stages, the numbers, the log."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.journey import STAGES
from tests.serving.process import Server
from tests.serving.samples import payloads, upload
from tests.serving.test_refusals import assert_problem

SAMPLE = upload(payloads(("image", "text")))


def lines(server: Server, request_id: str) -> list[dict[str, Any]]:
    """What the log says of a request, once it has been written."""
    server.wait_for_log(request_id)
    found = [json.loads(line) for line in server.log().splitlines() if request_id in line]
    return [line for line in found if line["message"] == "request"]


def numbers(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Every sample of /metrics, by its name and the values of its labels."""
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_a_request_has_an_id_its_caller_s_if_that_is_sensible(client: httpx.Client) -> None:
    first, second = (client.get("/v1/models").headers["x-request-id"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first) and first != second
    for given in ("mine-4711", "a" * 128, "Root=1-67891233-abcdef012345678912345678"):
        for path in ("/v1/models", "/nowhere", "/"):
            assert client.get(path, headers={"X-Request-ID": given}).headers["x-request-id"] == given
    for given in ("a" * 129, "two words", "", 'x"y'):
        assert client.get("/v1/models", headers={"X-Request-ID": given}).headers["x-request-id"] != given


def test_predictions_say_where_their_time_went(client: httpx.Client) -> None:
    response = client.post("/v1/predict", files=SAMPLE)
    timing = dict(part.split(";dur=") for part in response.headers["server-timing"].split(", "))
    assert list(timing) == list(STAGES)
    answered = response.json()["timing"]
    for stage in ("receive", "decode", "queue", "infer"):
        assert float(timing[stage]) == pytest.approx(answered[stage], abs=0.002)
    assert sum(map(float, timing.values())) <= answered["total"] + float(timing["answer"]) + 0.01
    assert "server-timing" not in client.get("/v1/models").headers


def test_every_request_leaves_one_line_of_json(client: httpx.Client, server: Server) -> None:
    client.post("/v1/predict", files=SAMPLE, headers={"X-Request-ID": "log-one"})
    client.post("/v1/predict", content=b"{", headers={"X-Request-ID": "log-two", "Content-Type": "application/json"})
    [one], [two] = lines(server, "log-one"), lines(server, "log-two")
    assert (one["route"], one["status"], one["model"], one["level"]) == ("/v1/predict", 200, "image-text", "info")
    assert list(one["stages"]) == list(STAGES) and one["milliseconds"] > 0 and one["received"] > 100
    assert (two["status"], two["problem"], two["received"]) == (400, "malformed-body", 1)
    for line in server.log().splitlines():
        if line.startswith("{"):
            assert json.loads(line)["time"]


def test_probes_that_find_all_well_leave_no_line(client: httpx.Client, server: Server) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        client.get(path, headers={"X-Request-ID": "quiet-probe"})
    client.get("/v1/models", headers={"X-Request-ID": "loud-request"})
    assert lines(server, "loud-request") and "quiet-probe" not in server.log()


def test_requests_rejects_stages_and_batches_are_counted(client: httpx.Client) -> None:
    before = numbers(client)
    for _ in range(3):
        client.post("/v1/predict", files=SAMPLE)
    client.post("/v1/predict", files={**SAMPLE, "text": (None, " ")})
    files = [("0.image", SAMPLE["image"]), ("0.text", SAMPLE["text"]), ("1.caption", SAMPLE["image"])]
    assert client.post("/v1/predict/batch", files=files).status_code == 200
    after = numbers(client)

    def grown(*key: str) -> float:
        return after.get(key, 0.0) - before.get(key, 0.0)

    assert grown("infobridge_requests_total", "/v1/predict", "200") == 3
    assert grown("infobridge_requests_total", "/v1/predict", "422") == 1
    assert grown("infobridge_requests_total", "/v1/predict/batch", "200") == 1
    assert grown("infobridge_rejects_total", "invalid-input") == 1
    assert grown("infobridge_rejects_total", "unknown-pairing") == 1
    assert grown("infobridge_request_seconds_count", "/v1/predict") == 4
    assert grown("infobridge_stage_seconds_count", "infer") == 4
    assert grown("infobridge_batch_size_sum", "image-text") == 4
    assert after["infobridge_requests_in_progress",] == 1  # the one that asks
    assert after["infobridge_queue_length", "image-text"] == 0
    assert after["infobridge_model_info", "cpu", "image-text", "fp32", "CPUExecutionProvider"] == 1
    assert after["process_resident_memory_bytes",] > 1e6


def test_what_is_to_be_noted_of_answers_is_counted(client: httpx.Client) -> None:
    before = numbers(client)
    usual = {"text": "red", "genomics": {"gene_A": 1.0}, "abstain_below": 0}
    for body in (
        usual,
        {"genomics": {"gene_A": 1.0}, "model": "fragile", "abstain_below": 0},
        usual | {"genomics": {"gene_A": 400.0}},
        usual | {"genomics": {"gene_A": -1.0}},
        usual | {"abstain_below": 1},
    ):
        assert client.post("/v1/predict", json=body).status_code == 200
    after = numbers(client)

    def grown(*key: str) -> float:
        return after.get(key, 0.0) - before.get(key, 0.0)

    assert grown("infobridge_answers_total", "fragile") == 5
    notes = ("missing", "unusual", "disagreement", "abstained")
    assert [grown("infobridge_noted_answers_total", "fragile", note) for note in notes] == [1, 1, 1, 1]
    assert grown("infobridge_noted_inputs_total", "text", "fragile", "missing") == 1
    assert grown("infobridge_noted_inputs_total", "genomics", "fragile", "unusual") == 1
    assert ("infobridge_noted_answers_total", "audio-video", "missing") in after  # from the start, as rates need


def test_a_scanner_makes_no_labels(client: httpx.Client) -> None:
    client.get("/warm-up")
    before = set(numbers(client))
    for number in range(50):
        client.get(f"/scan-{number}.php")
        client.get(f"/v1/models/none-{number}/examples/0")
        client.request(f"SCAN{number}", "/v1/models")
        client.get("/v1/models", headers={"Host": f"host-{number}"})
    after = set(numbers(client))
    routes = {key[1] for key in after if key[0] == "infobridge_requests_total"}
    assert not [key for key in after if any("scan" in part or "none-" in part for part in key)]
    assert len(after - before) < 100 and "unknown" in routes


def test_nothing_of_an_input_is_counted_or_logged(client: httpx.Client, server: Server) -> None:
    secret = "patient4712"
    client.post(f"/v1/{secret}?{secret}={secret}", content=secret)
    client.post("/v1/predict", files={secret: (secret, secret), "text": (None, secret)}, data={"model": secret})
    client.post("/v1/predict/batch", files={"0.image": (secret, secret), f"0.{secret}": (None, secret)})
    client.get(f"/v1/models/{secret}/examples/{secret}/{secret}")
    headers = {"traceparent": secret, "Cookie": secret, "User-Agent": secret, "X-Request-ID": "the-last-one"}
    client.get("/v1/models", headers=headers)
    server.wait_for_log("the-last-one")
    assert secret not in server.log()
    assert secret not in client.get("/metrics").text


def test_examples_are_ready_to_be_sent_back(client: httpx.Client, bundles: dict[str, Path]) -> None:
    for name in bundles:
        [model] = [model for model in client.get("/v1/models").json()["models"] if model["name"] == name]
        for index, inputs in enumerate(model["examples"]):
            form = client.get(f"/v1/models/{name}/examples/{index}")
            response = client.post(
                "/v1/predict", content=form.content, headers={"content-type": form.headers["content-type"]}
            )
            assert response.status_code == 200 and response.json()["model"] == name
            assert list(response.json()["modalities"]) == inputs
        assert [len(inputs) for inputs in model["examples"][:1]] == [len(model["inputs"])]
    lacking = client.get("/v1/models/image-text/examples/3/text")
    assert_problem(lacking, 404, "unknown-example", field="text", possible=["image"])
    kinds = {"audio": "audio/wav", "video": "video/mp4"}
    for name, kind in kinds.items():
        response = client.get(f"/v1/models/audio-video/examples/0/{name}")
        assert response.headers["content-type"] == kind and len(response.content) > 100
    for path in ("none/examples/0", "image-text/examples/4", "image-text/examples/x", "image-text/examples/0/audio"):
        response = client.get(f"/v1/models/{path}")
        assert response.status_code == 404
        assert response.json()["type"].startswith("urn:infobridge:problem:unknown-")
