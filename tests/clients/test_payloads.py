"""What a caller has becomes the parts of a request, or is refused before anything is sent."""

import json
import os
from pathlib import Path

import httpx
import numpy as np
import pytest

from clients.errors import InvalidCall
from clients.payloads import INLINE_LIMIT
from tests.clients.service import ANSWER, Service


@pytest.fixture
def service() -> Service:
    return Service(httpx.Response(200, json=ANSWER))


class Elsewhere:
    """Path-like, but no pathlib.Path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def test_files_are_uploaded_from_every_kind_of_path_and_from_bytes(service: Service, tmp_path: Path) -> None:
    path = tmp_path / 'ein Bild – "1".jpg'
    path.write_bytes(b"\xff\xd8 content \r\n--")
    for image in (path, str(path), Elsewhere(path), path.read_bytes(), bytearray(path.read_bytes())):
        service.client().predict(image=image)
        assert service.form() == {"image": ("image", b"\xff\xd8 content \r\n--")}
    assert service.requests[-1].url == "http://service:3000/v1/predict"
    assert service.requests[-1].method == "POST"


def test_a_text_is_itself_and_not_a_path(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("from the file")
    service.client().predict(text=str(path))
    assert service.form() == {"text": (None, str(path).encode())}
    service.client().predict(text=path)
    assert service.form() == {"text": ("text", b"from the file")}


@pytest.mark.parametrize("text", ["", "123", "null", "naïve 日本 🙂", "a\r\n--b\r\nContent-Disposition: form-data"])
def test_a_text_arrives_unchanged(service: Service, text: str) -> None:
    service.client().predict(text=text, image=b"x")
    assert service.form() == {"text": (None, text.encode()), "image": ("image", b"x")}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"b": 2, "a": 1.5}, {"b": 2, "a": 1.5}),
        ({"a": None, "b": float("nan")}, {"a": None, "b": None}),
        ({"a": np.float32(1.5), "b": np.int64(3), "c": np.nan}, {"a": 1.5, "b": 3, "c": None}),
        ([1, 2.5, None], [1, 2.5, None]),
        ((1, 2), [1, 2]),
        (np.array([1.5, np.nan], dtype=np.float32), [1.5, None]),
    ],
)
def test_numbers_are_sent_as_json(service: Service, values: object, expected: object) -> None:
    service.client().predict(genomics=values)  # type: ignore[arg-type]
    name, content = service.form()["genomics"]
    assert name is None and json.loads(content) == expected


def test_what_is_long_is_uploaded(service: Service) -> None:
    service.client().predict(text="x" * (INLINE_LIMIT + 1), genomics=[1.0] * INLINE_LIMIT)
    assert [name for name, _ in service.form().values()] == ["text", "genomics"]


def test_genomics_may_be_a_file(service: Service, tmp_path: Path) -> None:
    (tmp_path / "genes.csv").write_text("a,b\n1,2\n")
    service.client().predict(genomics=str(tmp_path / "genes.csv"))
    assert service.form() == {"genomics": ("genomics", b"a,b\n1,2\n")}


def test_the_model_is_a_field_of_its_own(service: Service) -> None:
    service.client().predict(image=b"x", model="zweites – Modell")
    assert service.form()["model"] == (None, "zweites – Modell".encode())


def test_a_file_that_cannot_be_read_is_an_error_before_any_request(service: Service, tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.jpg", "No such file"), (tmp_path, "Is a directory"), ("a\0b", "null byte")):
        with pytest.raises(InvalidCall, match=r"^image: expected a file to read, ") as caught:
            service.client().predict(text="a house", image=path)
        assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert service.requests == []


@pytest.mark.parametrize(
    ("payloads", "message"),
    [
        ({}, "expected a payload for one or more inputs"),
        ({"image": None}, "image: expected bytes, a path, a text or numbers, found NoneType"),
        ({"genomics": 5}, "genomics: expected bytes, a path, a text or numbers, found int"),
        ({"genomics": {"a": float("inf")}}, "genomics: expected finite numbers or None"),
        ({"genomics": [object()]}, "genomics: expected finite numbers or None"),
        ({"text": "\ud800"}, "text: expected text in Unicode"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_any_request(
    service: Service, payloads: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidCall, match=f"^{message}"):
        service.client().predict(**payloads)  # type: ignore[arg-type]
    assert service.requests == []
