"""Triton as a peer: its server really answers, and its callers count what is wrong."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.peers.triton_client import call
from benchmarks.serving_goals import AT_LEAST
from benchmarks.serving_samples import Asked
from benchmarks.systems import TRITON, started
from bundle.predictor import Predictor
from clients.triton import Client
from tests.benchmarks.test_peers import equal, sample_of
from tests.benchmarks.windows import widened
from tests.bundles import build_bundle
from tests.triton_server import server_or_skip


def test_triton_answers_what_the_predictor_says_to_callers_that_count(tmp_path: Path) -> None:
    server_or_skip()
    bundle = build_bundle(tmp_path / "bundle", ("image", "text"))
    sample = sample_of(("image", "text"))
    [expected] = Predictor(bundle).predict([sample])
    right, wrong = Asked(sample, expected), Asked(sample, replace(expected, predictions=expected.predictions[::-1]))
    with started(TRITON, tmp_path, "image_text", threads=1) as running:
        url = f"grpc://127.0.0.1:{running.target.port + 1}"
        running.sleep()
        running.wake()
        with Client(url, bundle, "model") as client:
            equal(client.predict(**sample), expected, 1e-6)  # type: ignore[arg-type]
            measure = partial(call, client, [right], 2, warmup=0.1)
            found = widened(measure, lambda found: found.rate > 0, 0.3)
            assert found.rate > 0 and 0 < found.median <= found.late and found.cpu > 0
            assert found.answered > 0.3 * found.rate and (found.mismatches, found.refusals) == (0, {})
            assert call(client, [wrong], callers=1, seconds=0.1, warmup=0.0).mismatches > 0
        assert running.cpu() > 0 and running.libraries("libtorch") == set()
        with Client(url, bundle, "absent", retries=0) as client:
            found = call(client, [right], callers=1, seconds=0.05, warmup=0.0)
            assert found.rate == 0 and found.answered == 0 and set(found.refusals) == {"NotFound"}


def test_triton_is_judged() -> None:
    for goals in AT_LEAST.values():
        assert goals[TRITON,] == 1.0
