"""Bundles on a real GPU.

    GPU_BUNDLES=DIR,DIR GPU_REQUIRED=true python3 -m pytest -c /dev/null --rootdir . -rs -s tests/bundle/test_cuda.py

With the variable, only what a bundle needs and pytest must be installed; without it, tiny bundles are made with onnx.
Skips where there is no GPU; with GPU_REQUIRED=true that is a failure.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import numpy as np
import pytest

from bundle.answer import SHIFT, Prediction, probabilities
from bundle.errors import ExecutionUnavailable, WorkCancelled
from bundle.execution import LOOSER, Execution, Gpu, Target
from bundle.predictor import Arrays, Predictor
from bundle.selfcheck import selfcheck
from bundle.session import check_targets
from bundle.work import Work

NAMED = tuple(filter(None, os.environ.get("GPU_BUNDLES", "").split(",")))
MADE = ("audio-video", "image-text", "pathology-genomics")
SIZES = (1, 2, 5, 16)
THREADS = 6


def gpu_or_skip(target: Target) -> None:
    try:
        check_targets(Execution((target,)))
    except ExecutionUnavailable as error:
        if os.environ.get("GPU_REQUIRED") == "true" and target == "cuda":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=NAMED or MADE)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    gpu_or_skip("cuda")
    if NAMED:
        return Path(request.param)
    pytest.importorskip("onnx")
    from tests.bundles import build_bundle

    return build_bundle(tmp_path_factory.mktemp("gpu") / request.param, tuple(request.param.split("-")))


@pytest.fixture(scope="module")
def on_cpu(folder: Path) -> Predictor | None:
    """None of a graph that a CPU does not run."""
    try:
        return Predictor(folder)
    except ExecutionUnavailable:
        return None


@pytest.fixture(scope="module")
def on_cuda(folder: Path) -> Predictor:
    return Predictor(folder, Execution(("cuda", "cpu"), require_gpu=True))


def batch_of(predictor: Predictor, size: int, seed: int = 0) -> list[Arrays]:
    """Prepared samples; the second of them lacks its first modality."""
    generator = np.random.default_rng(seed)
    made = [{name: one.example(generator) for name, one in predictor.modalities.items()} for _ in range(size)]
    if size > 1:
        del made[1][next(iter(made[1]))]
    return [predictor.prepare(sample) for sample in made]


def farthest(predictor: Predictor, batch: list[Arrays], one: Arrays, other: Arrays) -> float:
    """Largest difference of a probability, or of a distance as a share of one more than itself."""
    manifest = predictor.manifest
    known = (predictor.present(batch), manifest.calibration, manifest.modalities)
    found, expected = probabilities(one, *known), probabilities(other, *known)
    apart = [float(np.abs(values - expected[name]).max()) for name, values in found.items() if name in expected]
    apart += [
        float((np.abs(one[name] - other[name]) / (1 + np.abs(other[name]))).max())
        for name in one
        if name.startswith(SHIFT)
    ]
    return max(apart)


def allowed(predictor: Predictor) -> float:
    tolerance = predictor.manifest.tolerance.probabilities
    coarser = predictor.running.precision != predictor.manifest.precision
    return max(tolerance, LOOSER.get(predictor.running.precision, 0.0)) if coarser else tolerance


def compare(one: Predictor, other: Predictor) -> float:
    worst = 0.0
    for size in SIZES:
        batch = batch_of(one, size, size)
        worst = max(worst, farthest(one, batch, one.run(batch), other.run(batch)))
    return worst


def test_cuda_really_runs_it(on_cuda: Predictor) -> None:
    running = on_cuda.running
    print(running)
    assert (running.target, running.provider) == ("cuda", "CUDAExecutionProvider")
    assert running.device.startswith("cuda:0 (") and on_cuda.refused == {}
    assert running.precision == on_cuda.manifest.precision
    assert running.nodes["CUDAExecutionProvider"] > running.nodes.get("CPUExecutionProvider", 0)


def test_cuda_reproduces_the_golden_samples(on_cuda: Predictor) -> None:
    assert selfcheck(on_cuda) == 4


def test_cuda_answers_like_the_cpu(on_cpu: Predictor | None, on_cuda: Predictor) -> None:
    if on_cpu is None:
        pytest.skip(f"a CPU does not run {on_cuda.manifest.precision}")
    found = compare(on_cuda, on_cpu)
    print(f"farthest {found:.2e}, allowed {allowed(on_cuda):.2e}")
    assert found <= allowed(on_cuda)


def test_bound_arrays_give_what_plain_ones_give(on_cuda: Predictor) -> None:
    from bundle.binding import run_bound, run_plain

    inner = on_cuda._session
    feed = on_cuda.feed(batch_of(on_cuda, 5))
    plain = run_plain(inner._session, inner._names, feed)
    bound = run_bound(inner._session, inner._names, feed, ("cuda", 0))
    for name, values in plain.items():
        np.testing.assert_allclose(bound[name], values, rtol=1e-4, atol=1e-4)


def test_many_threads_get_the_answers_of_one(on_cuda: Predictor) -> None:
    batches = [batch_of(on_cuda, size, size) for size in SIZES]
    expected: list[list[Prediction]] = [on_cuda.infer(batch) for batch in batches]
    with ThreadPoolExecutor(THREADS) as pool:
        asked = [pool.submit(on_cuda.infer, batch) for batch in batches * 10]
        for number, done in enumerate(asked):
            for answer, other in zip(done.result(), expected[number % len(SIZES)], strict=True):
                numbers = {entry.label: entry.probability for entry in other.predictions}
                for entry in answer.predictions:
                    assert abs(entry.probability - numbers[entry.label]) <= max(1e-4, allowed(on_cuda))


def test_cancelled_work_on_cuda_ends_and_the_session_lives_on(on_cuda: Predictor) -> None:
    work = Work()
    batch = batch_of(on_cuda, 16)
    timer = Timer(0.05, work.cancel)
    timer.start()
    with pytest.raises(WorkCancelled):
        while True:
            on_cuda.infer(batch, work)
    timer.join()
    assert len(on_cuda.infer(batch)) == 16


@pytest.mark.parametrize(
    "gpu", [Gpu(tf32=True), Gpu(convolutions="exhaustive"), Gpu(memory=1 << 32, growth="exact")], ids=str
)
def test_every_choice_of_the_cuda_provider_answers(on_cuda: Predictor, gpu: Gpu) -> None:
    other = Predictor(on_cuda.folder, Execution(("cuda",), gpu=gpu))
    found = compare(other, on_cuda)
    print(f"farthest {found:.2e}, allowed {allowed(other):.2e}")
    assert found <= allowed(other) and selfcheck(other) == 4
    assert other.running.precision == (
        "tf32" if gpu.tf32 and on_cuda.manifest.precision == "fp32" else other.manifest.precision
    )


def test_a_gpu_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(ExecutionUnavailable, match="cuda: device: expected a GPU below"):
        Predictor(folder, Execution(("cuda", "cpu"), require_gpu=True, gpu=Gpu(device=99)))
    assert Predictor(folder, Execution(("cuda",))).running.target == "cuda"


@pytest.mark.parametrize("half", [False, True])
def test_tensorrt_answers_like_cuda_and_keeps_its_engine(
    folder: Path, on_cuda: Predictor, tmp_path: Path, half: bool
) -> None:
    gpu_or_skip("tensorrt")
    gpu = Gpu(tensorrt_fp16=half, engines=tmp_path, largest_batch=8)
    predictor = Predictor(folder, Execution(("tensorrt",), gpu=gpu))
    print(predictor.running)
    assert predictor.running.provider == "TensorrtExecutionProvider"
    found = compare(predictor, on_cuda)
    print(f"farthest {found:.2e}, allowed {allowed(predictor):.2e}")
    assert found <= allowed(predictor) and selfcheck(predictor) == 4
    [kept] = tmp_path.iterdir()
    engines = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.engine")}
    assert engines
    compare(Predictor(folder, Execution(("tensorrt",), gpu=gpu)), on_cuda)
    assert {path.name: path.stat().st_mtime_ns for path in kept.glob("*.engine")} == engines
