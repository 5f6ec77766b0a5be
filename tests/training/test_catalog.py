"""Names are file names."""

from pathlib import Path

import pytest

import training
from training import catalog
from training.errors import ConfigError
from training.methods.joint import Joint


@pytest.mark.parametrize("kind", ["methods", "encoders", "datasets", "fusion", "conditions"])
def test_every_public_file_is_a_name(kind: catalog.Kind) -> None:
    folder = Path(training.__file__).parent / kind
    expected = sorted(path.stem for path in folder.iterdir() if path.suffix == ".py" and path.name[0] != "_")
    assert list(catalog.names(kind)) == expected != []


def test_a_name_gives_its_class() -> None:
    assert catalog.load("methods", "joint") is Joint


@pytest.mark.parametrize("name", ["nope", "", "_pixels", "../fit", "joint.py"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        catalog.load("encoders", name)
    assert str(error.value) == f"unknown name {name!r} in encoders; known are {', '.join(catalog.names('encoders'))}"
