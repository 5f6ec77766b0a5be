"""What a request may say beside its inputs, as a form and as JSON write it."""

from typing import Any

import pytest

from bundle.errors import InvalidInput
from serving.options import Options


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, Options()),
        ({"model": b"m", "require_all": b"true", "abstain_below": b"0.5"}, Options("m", True, 0.5)),
        ({"model": "m", "require_all": True, "abstain_below": 0.5}, Options("m", True, 0.5)),
        ({"require_all": b"1"}, Options(require_all=True)),
        ({"require_all": b"0"}, Options(require_all=False)),
        ({"require_all": b"false"}, Options(require_all=False)),
        ({"require_all": False}, Options(require_all=False)),
        ({"abstain_below": 0}, Options(abstain_below=0.0)),
        ({"abstain_below": 1}, Options(abstain_below=1.0)),
        *[({"abstain_below": text}, Options(abstain_below=0.5)) for text in (b".5", b"5e-1", b"+0.50", b"0.05E1")],
        ({"abstain_below": b"1."}, Options(abstain_below=1.0)),
    ],
)
def test_options_are_read(said: dict[str, Any], meant: Options) -> None:
    assert Options.read(said) == meant


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model", 7),
        *[("require_all", content) for content in (b"", b"True", b"yes", b"\xff", "true", 1, None)],
        *[
            ("abstain_below", text)
            for text in (b"", b" 0.5", b"nan", b"inf", b"1_0", b"-0.1", b"1.1", b"0x1", b"1e400")
        ],
        *[("abstain_below", value) for value in ("0.5", None, True, [0.5], -1, 2, float("nan"), float("inf"))],
        ("abstain_below", "٣".encode()),
    ],
)
def test_what_is_no_value_of_an_option_is_refused_at_its_field(name: str, content: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        Options.read({name: content})
    assert error.value.field == name and error.value.expected and error.value.received


def test_a_sample_s_own_options_count_before_those_of_the_request() -> None:
    shared = Options("all", True, 0.9)
    assert Options().over(shared) == shared
    assert Options("one", False, 0.0).over(shared) == Options("one", False, 0.0)
