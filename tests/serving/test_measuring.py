"""How many samples an inference should join, for graphs whose cost is known."""

import time
from collections.abc import Sequence

import pytest

from bundle.answer import Prediction
from bundle.predictor import Arrays, Predictor
from bundle.work import Work
from serving.measuring import batch_size
from tests.bundles import build_bundle


class Costly(Predictor):
    """Takes a fixed time for a call and another for each sample, in seconds."""

    fixed, each = 0.0, 0.0

    def infer(self, batch: Sequence[Arrays], work: Work | None = None) -> list[Prediction]:
        time.sleep(self.fixed + self.each * len(batch))
        return []


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


def test_measuring_ends_though_it_could_go_on(predictor: Costly) -> None:
    predictor.fixed, predictor.each = 0.3, 0.0
    assert batch_size(predictor, 1 << 20) < 16
