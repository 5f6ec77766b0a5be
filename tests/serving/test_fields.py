"""Reading forms and JSON: whatever arrives becomes fields or a problem, never another error."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import InvalidInput
from serving.fields import parse_json
from serving.form import Part, read_form
from serving.problems import ProblemError

CONTENT_TYPE = 'multipart/form-data; boundary="x y"'
FORM = (
    b'--x y\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\x89PNG\r\n--x\r\n\r\n"
    b'\r\n--x y\r\nCONTENT-DISPOSITION: form-data; name="na\xc3\xafve"\r\n\r\n null \r\n--x y--\r\n'
)
PARTS = [Part("image", b"\x89PNG\r\n--x\r\n\r\n", uploaded=True), Part("naïve", b" null ", uploaded=False)]


def read(body: bytes, sizes: int = 1 << 20, part_limit: int = 100) -> list[Part]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), sizes):
            yield body[start : start + sizes]

    return asyncio.run(read_form(CONTENT_TYPE, chunks(), part_limit))


@pytest.mark.parametrize("sizes", [1, 2, 7, 1 << 20])
def test_parts_are_the_bytes_that_were_sent_however_they_arrive(sizes: int) -> None:
    assert read(FORM, sizes) == PARTS


def test_only_parts_that_are_not_files_are_limited() -> None:
    assert read(FORM, part_limit=6) == PARTS
    with pytest.raises(ProblemError) as error:
        read(FORM, part_limit=5)
    assert (error.value.problem.status, error.value.problem.field) == (413, "naïve")


@pytest.mark.parametrize("end", range(len(FORM) - 4))
def test_a_form_cut_anywhere_is_malformed(end: int) -> None:
    with pytest.raises(ProblemError) as error:
        read(FORM[:end])
    assert error.value.problem.status == 400


@given(st.binary(max_size=200), st.integers(0, len(FORM)), st.integers(0, len(FORM)))
def test_any_bytes_are_a_form_or_a_problem(noise: bytes, start: int, end: int) -> None:
    try:
        read(FORM[:start] + noise + FORM[end:])
    except ProblemError as error:
        assert error.problem.status in (400, 413)


@given(st.one_of(st.binary(max_size=60), st.text('{}[]",:\\ud8 0-eE.NaInfity', max_size=60).map(str.encode)))
def test_any_bytes_are_an_object_or_a_problem(body: bytes) -> None:
    try:
        assert isinstance(parse_json(body), dict)
    except (ProblemError, InvalidInput):
        pass


def test_json_is_read_as_it_stands() -> None:
    assert parse_json('\ufeff{"text": "\\ud83d\\ude00 1", "genomics": {"a": null}}'.encode()) == {
        "text": "😀 1",
        "genomics": {"a": None},
    }
    with pytest.raises(InvalidInput, match="a key twice"):
        parse_json(b'{"genomics": {"a": 1, "a": 2}}')
