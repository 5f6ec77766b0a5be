"""The command line of the clients."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients import __main__ as program
from clients.rest import Client
from tests.clients.service import ANSWER, MODELS, Service, problem

OK = httpx.Response(200, json=ANSWER)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the program against a service: exit code, standard output, standard error."""

    def started(service: Service, *arguments: str) -> tuple[int, str, str]:
        def client(url: str, **options: Any) -> Client:
            return Client(url, transport=httpx.MockTransport(service), **options)

        monkeypatch.setattr(program, "Client", client)
        code = program.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return started


def test_predict_shows_every_class_and_every_modality(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    service = Service(httpx.Response(200, json=ANSWER))
    code, shown, errors = run(service, "predict", "http://x", "--image", str(tmp_path / "a.jpg"), "--text", "None")
    assert (code, errors) == (0, "")
    rows = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in shown.splitlines()]
    assert ["fused", "star", "0.750"] in rows and ["", "[red]circle", "0.250"] in rows
    assert ["image alone", "star", "0.900 for star"] in rows
    assert ["text alone", "[red]circle", "0.400 for star"] in rows
    assert [row for row in rows if row[0] in ("without any", "image adds", "text adds")] == [
        ["without any", "star", "0.375"],
        ["image adds", "", "+0.500"],
        ["text adds", "", "-0.125"],
    ]
    assert shown.splitlines()[-2:] == [
        "unusual: image is unlike the training data (1.2 times the usual limit); do not rely on these numbers",
        "disagreement: alone they would choose differently (image star, text [red]circle)",
    ]
    assert "image-text: 7 ms" in shown
    assert service.form() == {"image": ("image", b"picture"), "text": (None, b"None")}


def test_predict_says_what_was_missing_and_that_it_abstains(run: Any) -> None:
    answer: dict[str, Any] = ANSWER | {"missing": ["text"], "abstain": True, "unusual": [], "disagreement": False}
    answer["modalities"] = {"image": ANSWER["modalities"]["image"]}  # type: ignore[index]
    service = Service(httpx.Response(200, json=answer))
    code, shown, _ = run(service, "predict", "http://x", "--text", "x", "--abstain-below", "0.8")
    assert code == 0 and shown.splitlines()[-2:] == [
        "abstains: 0.750 for star is less than was asked for; ask a person",
        "missing: text; the answer does without",
    ]
    assert service.form() == {"text": (None, b"x"), "abstain_below": (None, b"0.8")}
    run(service, "predict", "http://x", "--text", "x", "--require-all")
    assert service.form() == {"text": (None, b"x"), "require_all": (None, b"true")}


def test_predict_prints_json_on_demand(run: Any) -> None:
    code, shown, _ = run(
        Service(httpx.Response(200, json=ANSWER)), "predict", "http://x", "--text", "häuser", "--json", "--model", "m"
    )
    assert code == 0 and json.loads(shown) == ANSWER | {"request_id": None}


def test_models_are_listed(run: Any) -> None:
    code, shown, _ = run(Service(httpx.Response(200, json=MODELS)), "models", "http://x")
    assert code == 0
    for word in (
        "image-text",
        "image, text",
        "star, circle",
        "CPUExecutionProvider",
        "image+text 0.875",
        "image 0.750",
    ):
        assert word in shown
    code, shown, _ = run(Service(httpx.Response(200, json=MODELS)), "models", "http://x", "--json")
    assert json.loads(shown)[0]["inputs"][1] == {"name": "text", "modality": "text", "shape": [None], "dtype": "int64"}


@pytest.mark.parametrize(
    ("reply", "arguments", "message"),
    [
        (problem(422, detail="image: expected\n a picture"), ["--text", "x"], "image: expected a picture (HTTP 422)"),
        (problem(500, detail="\x1b[31mred"), ["--text", "x"], "?[31mred (HTTP 500)"),
        (httpx.ReadTimeout("slow"), ["--text", "x", "--timeout", "5"], "no answer from http://x within 5 seconds"),
        (httpx.Response(200, content=b"hello"), ["--text", "x"], "expected the service's answer in JSON"),
        (httpx.Response(200, json=ANSWER), ["--image", "/nowhere/a.jpg"], "image: expected a file to read"),
        (httpx.Response(200, json=ANSWER), [], "expected a payload for one or more inputs"),
        (OK, ["--text", "x", "--abstain-below", "2"], "abstain_below: expected a number from 0 to 1, found 2.0"),
    ],
)
def test_every_failure_is_one_line_and_exit_code_2(
    run: Any, reply: httpx.Response | Exception, arguments: list[str], message: str
) -> None:
    code, shown, errors = run(Service(reply), "predict", "http://x", *arguments)
    assert (code, shown) == (2, "")
    assert errors.startswith(f"error: {message}") and errors.count("\n") == 1


def test_an_address_that_is_none_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["models", "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("error: url: expected an address such as")


@pytest.mark.parametrize("arguments", [[], ["predict"], ["models", "http://x", "--unknown"], ["guess", "http://x"]])
def test_a_command_that_is_none_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


def test_arguments_come_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["clients", "models", "nonsense"])
    assert program.main() == 2
