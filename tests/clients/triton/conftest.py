"""A Triton server with the tiny bundles of all pairings, and samples with the answers they must get."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.answer import Prediction
from bundle.predictor import Predictor
from clients.answer import Answer
from export.to_triton import to_triton
from export.triton_config import TritonOptions
from scripts import triton
from tests.bundles import PAIRINGS, build_bundle
from tests.triton_server import server_or_skip

PATIENT = TritonOptions(flavours=("portable",), queue_delay_us=20_000, threads=1, max_batch=8)
"""Waits long enough for others that requests of the same moment surely meet."""


@dataclass(frozen=True)
class Served:
    """A server, and the bundles that it serves."""

    triton: triton.Triton
    bundles: Mapping[tuple[str, ...], Path]
    newer: Path
    """A second version of `image-text`."""

    def url(self, protocol: str) -> str:
        return f"{protocol}://127.0.0.1:{self.triton.http if protocol == 'http' else self.triton.grpc}"


@pytest.fixture(scope="package")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {pairing: build_bundle(folder / "-".join(pairing), pairing) for pairing in PAIRINGS}


@pytest.fixture(scope="package")
def served(bundles: dict[tuple[str, ...], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = server_or_skip()
    folder = tmp_path_factory.mktemp("triton")
    newer = build_bundle(folder / "newer", ("image", "text"), name="image-text", seed=1)
    for bundle in (*bundles.values(), newer):
        to_triton(bundle, folder / "repository", PATIENT)
    with triton.started(folder / "repository" / "portable", folder / "log", server) as running:
        yield Served(running, bundles, newer)


def examples(predictor: Predictor, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {name: modality.example(generator) for name, modality in predictor.modalities.items()}


def assert_same(answer: Answer, expected: Prediction, tolerance: float = 1e-5) -> None:
    assert isinstance(answer, Answer)
    assert answer.model == expected.model
    assert [entry.label for entry in answer.predictions] == [entry.label for entry in expected.predictions]
    found = [entry.probability for entry in answer.predictions]
    assert found == pytest.approx([entry.probability for entry in expected.predictions], abs=tolerance)
    assert answer.modalities.keys() == expected.modalities.keys()
    for name, own in answer.modalities.items():
        assert own.label == expected.modalities[name].label
        for number in ("confidence", "contribution", "shift"):
            assert getattr(own, number) == pytest.approx(getattr(expected.modalities[name], number), abs=tolerance)
    assert answer.baseline == pytest.approx(expected.baseline, abs=tolerance)
    for fact in ("missing", "disagreement", "unusual", "abstain"):
        assert getattr(answer, fact) == getattr(expected, fact)


Ask = Callable[..., Answer]
