"""The goals are judged by what was measured, and requests are made of real samples."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.call import Call
from benchmarks.peers.in_process import measure
from benchmarks.serving import ALL, faults, imported, rows
from benchmarks.serving_goals import judge, judge_start
from benchmarks.serving_rounds import LIMIT, Measured, Plan, Point
from benchmarks.serving_samples import BOUNDARY, CONTENT_TYPE, MODELS, Asked, Sample, choose, multipart, read_samples
from benchmarks.systems import OURS
from bundle.answer import ClassProbability, Prediction
from bundle.predictor import Predictor
from tests.benchmarks.windows import widened
from tests.bundles import build_bundle


def measured(rates: dict[str, float], wrong: int = 0) -> Measured:
    """Two rounds, the second at half the speed, as on a machine that others use."""
    found = Measured()
    for connections in (1, 8):
        for name, rate in rates.items():
            found.points[name, connections] = [
                Point(rate * share, 1e3 / rate / share, 9.0, 1.0, wrong) for share in (1.0, 0.5)
            ]
    found.paced = {"even": [Point(70.0, 4.0, 12.0), Point(70.0, 4.0, 11.0)], "random": [Point(70.0, 4.0, 40.0)] * 2}
    return found


def test_a_ratio_is_taken_within_a_round() -> None:
    found = measured({OURS: 300.0, "litserve": 200.0})
    assert found.ratios(OURS, "litserve", 8) == [1.5, 1.5]
    assert found.ratios(OURS, "starlette", 8) == []


def test_goals_hold_exactly_when_they_are_reached() -> None:
    rates = {
        OURS: 300.0, "litserve": 230.0, "bentoml-typed": 200.0, "bentoml-batchable": 100.0, "starlette": 330.0,
        LIMIT: 350.0,
    }  # fmt: skip
    verdicts = list(judge("small", measured(rates)))
    assert [verdict.held for verdict in verdicts] == [True, True, True, True, True, True]
    assert "1.50 (1.50–1.50) × bentoml-typed" in verdicts[1].measured, "the faster of the two forms"
    assert "2.88" in verdicts[3].measured and "10.00" in verdicts[3].measured
    slower = {**rates, OURS: 290.0, "starlette": 340.0, LIMIT: 2000.0}
    assert [verdict.held for verdict in judge("small", measured(slower, wrong=1))] == [
        False, False, False, True, False, False
    ]  # fmt: skip
    large = list(judge("large", measured({OURS: 86.0, LIMIT: 100.0, "fastapi-torch": 60.0})))
    assert [verdict.held for verdict in large][:2] == [True, False]
    assert large[1].line().endswith("DOES NOT HOLD")


def test_a_start_is_judged_by_its_median_and_by_what_it_loaded() -> None:
    assert [verdict.held for verdict in judge_start([3.0, 9.0, 4.0], [1.0], set(), set())] == [True, True]
    assert [verdict.held for verdict in judge_start([3.0, 9.0, 6.0], [1.0], {"libtorch_cpu.so"}, set())] == [
        False,
        False,
    ]
    assert [verdict.held for verdict in judge_start([3.0], [1.0], set(), {"transformers"})] == [True, False]


def test_the_table_has_a_row_for_each_system_and_number_of_connections() -> None:
    plan = Plan((OURS, "starlette"), (1, 8))
    lines = rows(measured({OURS: 300.0, "starlette": 330.0}), plan)
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert lines[5].startswith("| starlette | 8 | 247.5 |") and "0.91 (0.91–0.91)" in lines[5]
    assert faults(measured({OURS: 1.0})) == []
    assert len(faults(measured({OURS: 1.0}, wrong=2))) == 4
    assert set(ALL) >= {OURS, LIMIT}


def test_a_form_carries_files_and_texts() -> None:
    genes = {"gene_A": 1.5, "gene_B": None}
    body = multipart({"image": b"\x89PNG\r\n", "text": "ein Haus für drei", "genomics": genes})
    assert BOUNDARY in CONTENT_TYPE
    assert b'name="image"; filename="image.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\r\n--' in body
    assert 'name="text"\r\n\r\nein Haus für drei\r\n'.encode() in body
    assert b'name="genomics"\r\n\r\n{"gene_A": 1.5, "gene_B": null}\r\n' in body
    assert body.endswith(f"--{BOUNDARY}--\r\n".encode())


def test_a_call_expects_the_best_class() -> None:
    best = (ClassProbability("star", 0.75), ClassProbability("square", 0.25))
    call = Asked({"text": "one"}, Prediction("model", best, {}, (), 0.5, False, (), False)).call()
    assert call == Call(CONTENT_TYPE, multipart({"text": "one"}), "star", 0.75)


@pytest.mark.parametrize("name", ["small-image-text", "small-audio-video", "small-pathology-genomics"])
def test_real_samples_are_chosen_where_there_is_no_doubt(name: str, real_data: Path, tmp_path: Path) -> None:
    load = MODELS[name]
    samples = read_samples(load, real_data)
    assert len(samples) > 100
    if "genomics" in load.modalities:  # a tiny bundle knows other genes
        return
    bundle = build_bundle(tmp_path / "bundle", load.modalities)
    chosen = choose(samples[:16], bundle, threads=1, count=4)
    assert 1 <= len(chosen) <= 4
    for asked in chosen:
        first, second, *_ = asked.expected.predictions
        assert first.probability - second.probability > 1e-3
        assert asked.expected == Predictor(bundle, threads=1).predict([asked.sample])[0]


def test_the_limit_counts_predictions_of_all_callers(tmp_path: Path) -> None:
    predictor = Predictor(build_bundle(tmp_path / "bundle", ("image", "text")), threads=1)
    samples: list[Sample] = [
        {"image": predictor.modalities["image"].example(np.random.default_rng(1)), "text": "a red house"}
    ]
    limit = widened(lambda seconds: measure(predictor, samples, 2, seconds), lambda limit: limit.rate > 0, 0.2)
    assert limit.callers == 2
    assert limit.rate > 0 and 0 < limit.median <= limit.late and limit.cpu > 0
    assert limit.rate <= 2 * 1e3 / limit.median * 2, "half of the predictions took at least the median"


def test_the_service_imports_neither_torch_nor_transformers() -> None:
    assert imported() == set()
