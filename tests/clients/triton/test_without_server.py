"""What a Triton client does by itself: addresses, versions, errors, batches, retries; the predictor is its server."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bundle.manifest import FILE, sha256
from bundle.modalities import Array
from bundle.predictor import Predictor
from clients import errors
from clients.answer import Answer
from clients.errors import ClientError, InvalidCall, InvalidRequest, NotFound, UnexpectedAnswer
from clients.retrying import Retries
from clients.triton import Client, over_http
from clients.triton.request import DIGEST, Address, Request, Served
from export import triton_config
from tests.bundles import build_bundle
from tests.clients.triton.conftest import assert_same, examples
from tests.conftest import ROOT


class Wire:
    """A server in this process: answers as the predictor does, after the failures that it is given."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.failures: list[ClientError] = []
        self.requests: list[Request] = []
        self.configs = 0
        self.spoilt: Mapping[str, Array] = {}

    def config(self, model: str) -> Mapping[str, Any]:
        self.configs += 1
        digest = sha256(self.predictor.folder / FILE)
        return {"max_batch_size": 2, "parameters": {f"{DIGEST}3": {"string_value": digest}}}

    def infer(self, request: Request) -> dict[str, Array]:
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        names = self.predictor.manifest.modalities
        present = request.inputs["present"]
        batch = [
            {name: request.inputs[name][row] for name, given in zip(names, present[row], strict=True) if given}
            for row in range(len(present))
        ]
        return {**self.predictor.run(batch), **self.spoilt}

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("bundles") / "one", ("pathology", "genomics"))


@pytest.fixture
def wire(bundle: Path) -> Wire:
    return Wire(Predictor(bundle))


@pytest.fixture
def client(bundle: Path, wire: Wire) -> Iterator[Client]:
    with Client("http://127.0.0.1:9", bundle, retries=Retries(2, first_pause=0.0)) as made:
        made._wire = wire  # type: ignore[assignment]
        yield made


def busy() -> ClientError:
    return errors.Unavailable(errors.Problem(503, "Exceeds maximum queue size"))


def test_samples_go_in_requests_of_what_the_model_takes(client: Client, wire: Wire) -> None:
    samples = [examples(wire.predictor, seed) for seed in range(5)]
    results = client.predict_batch([samples[0], {"pathology": b"x"}, *samples[1:], {}])
    kinds = [Answer, InvalidRequest, Answer, Answer, Answer, Answer, InvalidCall]
    for result, kind, status in zip(results, kinds, [200, 415, 200, 200, 200, 200, 0], strict=True):
        assert isinstance(result, kind) or getattr(result, "problem").status == status  # noqa: B009
    answers = [result for result in results if isinstance(result, Answer)]
    for answer, expected in zip(answers, wire.predictor.predict(samples), strict=True):
        assert_same(answer, expected)
    assert [len(request.inputs["present"]) for request in wire.requests] == [2, 2, 1]
    assert {request.version for request in wire.requests} == {"3"}
    client.predict(**samples[0])
    assert wire.configs == 1, "the server is asked once what it offers"


def test_broken_connections_and_busy_servers_are_asked_again_and_nothing_else(client: Client, wire: Wire) -> None:
    sample = examples(wire.predictor)
    wire.failures = [errors.ConnectionFailed("reset"), busy()]
    assert_same(client.predict(**sample), wire.predictor.predict([sample])[0])
    assert len(wire.requests) == 3
    wire.failures = [busy(), busy(), busy()]
    with pytest.raises(errors.Unavailable):
        client.predict(**sample)
    for failure in (errors.TimedOut("late"), NotFound(errors.Problem(404, "gone"))):
        wire.failures = [failure]
        with pytest.raises(type(failure)):
            client.predict(**sample)
    assert wire.failures == [] and wire.configs == 1
    client.predict(**sample)
    assert wire.configs == 2, "after an unknown version it asks again what there is"


def test_a_timeout_is_asked_again_on_demand(client: Client, wire: Wire) -> None:
    client._asking.retries = Retries(1, timeouts=True, first_pause=0.0)
    wire.failures = [errors.TimedOut("late")]
    assert client.predict(**examples(wire.predictor)).model == "pathology-genomics"


def test_outputs_that_are_not_those_of_the_graph_are_refused(client: Client, wire: Wire) -> None:
    sample = examples(wire.predictor)
    wire.spoilt = {"logits": np.zeros((1, 7), np.float32)}
    with pytest.raises(UnexpectedAnswer, match=r"'logits' of shape \(1, 3\), received shape \(1, 7\)"):
        client.predict(**sample)
    wire.spoilt = {}
    wire.infer = lambda request: {}  # type: ignore[method-assign]
    with pytest.raises(UnexpectedAnswer, match="received none"):
        client.predict(**sample)


def test_a_sample_without_finite_numbers_spoils_no_other(client: Client, wire: Wire) -> None:
    samples = [examples(wire.predictor, seed) for seed in range(2)]
    outputs = wire.predictor.run([wire.predictor.prepare(sample) for sample in samples])
    outputs["logits"][0] = np.nan
    wire.spoilt = outputs
    broken, fine = client.predict_batch(samples)
    assert isinstance(broken, InvalidRequest) and "no finite number" in str(broken)
    assert isinstance(fine, Answer)
    assert_same(fine, wire.predictor.predict(samples)[1])


def test_files_are_read_here(client: Client, wire: Wire, tmp_path: Path) -> None:
    sample = examples(wire.predictor)
    for name, content in sample.items():
        (tmp_path / name).write_bytes(content)
    found = client.predict(pathology=tmp_path / "pathology", genomics=str(tmp_path / "genomics"))
    assert_same(found, wire.predictor.predict([sample])[0])
    with pytest.raises(InvalidCall, match="expected a file to read"):
        client.predict(pathology=tmp_path / "absent")


def test_what_cannot_be_a_client_is_refused_at_once(bundle: Path, tmp_path: Path) -> None:
    for url in ("localhost:8000", "ftp://x", "grpc://", ""):
        with pytest.raises(InvalidCall, match=r"url: expected an address such as http://localhost:8000"):
            Client(url, bundle)
    with pytest.raises(InvalidCall, match=r"bundle: .* is not a bundle"):
        Client("http://x", tmp_path)
    with pytest.raises(InvalidCall, match="timeout"):
        Client("http://x", bundle, timeout=0)
    with pytest.raises(InvalidCall, match="retries"):
        Client("http://x", bundle, retries=-1)
    assert Address("grpcs://host:1/").host == "host:1" and Address("grpcs://host:1").secure
    assert not Address("grpc://host:1").secure and Address("https://host").secure and not Address("https://host").grpc


def imported(module: str, *blocked: str) -> "subprocess.CompletedProcess[str]":
    """A fresh Python that imports a module and then runs its `main`, without some packages."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {module} as found; "
        "sys.exit(found.main(sys.argv[1:]) if sys.argv[1:] else 0)"
    )
    arguments = ["predict", "grpc://127.0.0.1:9", "--triton", ".", "--text", "x"] if module.endswith("__main__") else []
    return subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_it_needs_neither_a_runtime_nor_a_server_and_the_others_not_it() -> None:
    foreign = ("onnxruntime", "torch", "transformers", "bentoml", "starlette", "export", "serving", "training")
    assert imported("clients.triton", *foreign).returncode == 0
    done = imported("clients.__main__", "tritonclient")
    assert done.returncode == 2 and "pip install 'infobridge[triton]'" in done.stderr


def test_the_newest_version_of_the_bundle_is_asked() -> None:
    assert DIGEST == triton_config.DIGEST, "what export writes is what the client looks for"
    stated = {"2": "a", "10": "a", "11": "b"}
    parameters = {f"{DIGEST}{version}": {"string_value": digest} for version, digest in stated.items()}
    assert Served.read({"max_batch_size": 0, "parameters": parameters}, "m", "a") == Served("10", 1)
    for config in ({}, {"parameters": parameters}):
        with pytest.raises(UnexpectedAnswer, match="exported from this bundle"):
            Served.read(config, "m", "c")


def test_an_answer_that_is_none_is_refused() -> None:
    request = Request("m", "1", {}, ("logits",), 1.0)
    with pytest.raises(UnexpectedAnswer, match="expected the outputs of a model"):
        over_http._outputs(httpx.Response(200, content=b"hello"), request)
    with pytest.raises(UnexpectedAnswer, match="configuration in JSON"):
        over_http._config(httpx.Response(200, content=b"[]"))
    with pytest.raises(UnexpectedAnswer, match="configuration in JSON"):
        over_http._config(httpx.Response(200, content=b"hello"))
