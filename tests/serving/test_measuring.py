"""How many samples an inference should join, for graphs whose cost is known."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bundle.answer import Prediction
from bundle.manifest import GOLDEN
from bundle.modalities import Payload
from bundle.predictor import Arrays, Predictor
from bundle.selfcheck import write_golden
from bundle.work import Work
from serving.measuring import batch_size, sample_seconds
from tests.bundles import build_bundle


class Costly(Predictor):
    """Takes a fixed time for a call and another for each sample, in seconds."""

    fixed, each = 0.0, 0.0

    def infer(self, batch: Sequence[Arrays], work: Work | None = None) -> list[Prediction]:
        time.sleep(self.fixed + self.each * len(batch))
        return []


class Noting(Predictor):
    """Remembers what it was given."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(folder, threads=threads)
        self.seen: list[Mapping[str, Payload]] = []

    def prepare(self, sample: Mapping[str, Payload], work: Work | None = None) -> Arrays:
        self.seen.append(sample)
        return super().prepare(sample, work)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Costly:
    return Costly(build_bundle(tmp_path_factory.mktemp("measuring") / "tiny", ("text", "genomics")), threads=1)


@pytest.mark.parametrize(
    ("fixed", "each", "most", "expected"),
    [
        (0.0, 0.01, 16, 1),  # a sample costs the same however many there are
        (0.015, 0.0, 16, 16),  # only calls cost
        (0.015, 0.0, 5, 4),
        (0.015, 0.0, 1, 1),
        (0.01, 0.01, 16, 4),  # .0200, .0150, .0125, .01125: the last is not worth it
    ],
)
def test_samples_are_joined_as_far_as_it_pays(
    predictor: Costly, fixed: float, each: float, most: int, expected: int
) -> None:
    predictor.fixed, predictor.each = fixed, each
    assert batch_size(predictor, most) == expected


def test_a_sample_that_lacks_nothing_is_measured(tmp_path: Path) -> None:
    """A modality that is missing is decoded in no time, which would be measured as the time of a sample."""
    folder = build_bundle(tmp_path / "tiny", ("text", "genomics"))
    found = Noting(folder, threads=1)
    golden = [{"text": b"red"}, {"genomics": b"[1, 2, 3, 4]"}, {"text": b"green", "genomics": b"[5, 6, 7, 8]"}]
    arrays = [found.prepare(sample) for sample in golden]
    write_golden(arrays, golden, found.run(arrays), folder / GOLDEN)
    found.seen.clear()
    batch_size(found, 2)
    sample_seconds(found)
    assert found.seen == [{"text": b"red", "genomics": b"[1, 2, 3, 4]"}] * 3


def test_measuring_ends_though_it_could_go_on(predictor: Costly) -> None:
    predictor.fixed, predictor.each = 0.3, 0.0
    assert batch_size(predictor, 1 << 20) < 16
