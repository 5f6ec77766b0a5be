"""The errors of a bundle: one root, one line each."""

import pickle

import pytest

from bundle.errors import BundleError, InvalidInput, ManifestError, SelfCheckFailed, TooLarge, UnsupportedMedia


def test_everything_has_one_root() -> None:
    for kind in (ManifestError, SelfCheckFailed, InvalidInput):
        assert issubclass(kind, BundleError)
    assert issubclass(UnsupportedMedia, InvalidInput) and issubclass(TooLarge, InvalidInput)


@pytest.mark.parametrize("kind", [InvalidInput, UnsupportedMedia, TooLarge])
def test_an_input_error_keeps_its_kind_when_it_learns_its_field(kind: type[InvalidInput]) -> None:
    error = kind("a cat", "a dog")
    assert str(error) == "expected a cat, received a dog"
    placed = error.at("image")
    assert type(placed) is kind and placed.field == "image"
    assert str(placed) == "image: expected a cat, received a dog"


def test_an_input_error_crosses_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(TooLarge("little", "much", "text")))
    assert type(error) is TooLarge and (error.expected, error.received, error.field) == ("little", "much", "text")
