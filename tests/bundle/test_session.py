"""Where a graph runs: refusals in the libraries' words, and the path that a GPU takes, on the CPU."""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from bundle import graphics, session
from bundle.binding import run_bound, run_plain
from bundle.errors import ExecutionUnavailable, ManifestError, WorkCancelled
from bundle.execution import Execution, Gpu
from bundle.graphics import Card, find_card, load_cuda, load_tensorrt
from bundle.manifest import GRAPH
from bundle.modalities import Array
from bundle.predictor import Predictor
from bundle.runtime import onnxruntime
from bundle.session import Running, check_assignment, check_targets
from bundle.work import Work
from tests.bundle.endless import build_endless
from tests.bundles import PAIRINGS, build_bundle

CUDA = Running("cuda", "CUDAExecutionProvider", "cuda:0 (a card)", "fp32", {"CUDAExecutionProvider": 3})


@pytest.fixture(scope="module")
def predictors(tmp_path_factory: pytest.TempPathFactory) -> list[Predictor]:
    root = tmp_path_factory.mktemp("bundles")
    return [Predictor(build_bundle(root / "-".join(pairing), pairing), threads=1) for pairing in PAIRINGS]


def feed_of(predictor: Predictor, seeds: range) -> dict[str, Array]:
    made = [
        {name: modality.example(np.random.default_rng(seed)) for name, modality in predictor.modalities.items()}
        for seed in seeds
    ]
    return predictor.feed([predictor.prepare(sample) for sample in made])


def parts_of(predictor: Predictor) -> tuple[Any, list[str]]:
    inner = predictor._session
    return inner._session, inner._names


def test_bound_inputs_and_outputs_give_what_plain_ones_give(predictors: list[Predictor]) -> None:
    for predictor in predictors:
        loaded, names = parts_of(predictor)
        feeds = [feed_of(predictor, range(size)) for size in (1, 3, 5)]
        feeds[1] = {name: np.asfortranarray(values) for name, values in feeds[1].items()}
        plain = [run_plain(loaded, names, feed) for feed in feeds]
        with ThreadPoolExecutor(4) as pool:
            bound = [pool.submit(run_bound, loaded, names, feed, ("cpu", 0)) for feed in feeds * 4]
        for number, found in enumerate(one.result() for one in bound):
            expected = plain[number % 3]
            assert list(found) == list(expected)
            for name, values in found.items():
                assert values.dtype == expected[name].dtype
                np.testing.assert_array_equal(values, expected[name])


def test_a_bound_run_can_be_ended(predictors: list[Predictor]) -> None:
    loaded, names = parts_of(predictors[0])
    feed = feed_of(predictors[0], range(2))
    options = onnxruntime.RunOptions()
    assert run_bound(loaded, names, feed, ("cpu", 0), options).keys() == set(names)
    options.terminate = True
    with pytest.raises(Exception, match="terminate flag"):
        run_bound(loaded, names, feed, ("cpu", 0), options)


def bound(predictor: Predictor, most: int | None = None) -> Predictor:
    """The same predictor taking the path of a GPU, with the CPU as the device."""
    predictor._session._device, predictor._session._most = ("cpu", 0), most
    return predictor


def test_a_predictor_answers_the_same_along_the_path_of_a_gpu(tmp_path: Path) -> None:
    folder = build_bundle(tmp_path / "bundle", ("image", "genomics"))
    plain = Predictor(folder, threads=1)
    batch = [
        plain.prepare({name: one.example(np.random.default_rng(seed)) for name, one in plain.modalities.items()})
        for seed in range(5)
    ]
    expected = plain.infer(batch)
    for most in (None, 2, 5):
        assert bound(Predictor(folder, threads=1), most).infer(batch) == expected


@pytest.fixture
def endless(tmp_path: Path) -> Predictor:
    return build_endless(tmp_path / "bundle")


def test_work_along_the_path_of_a_gpu_ends_when_it_is_cancelled(endless: Predictor) -> None:
    predictor = bound(endless)
    work = Work()
    timer = Timer(0.3, work.cancel)
    timer.start()
    with pytest.raises(WorkCancelled):
        predictor.infer([predictor.prepare({"text": b"red house", "genomics": b'{"gene_A": 1.5}'})], work)
    timer.join()


def test_a_provider_that_was_replaced_or_takes_no_node_is_refused() -> None:
    check_assignment(["CUDAExecutionProvider", "CPUExecutionProvider"], CUDA)
    with pytest.raises(ExecutionUnavailable, match="asked for CUDAExecutionProvider, but ONNX Runtime runs the graph"):
        check_assignment(["CPUExecutionProvider"], CUDA)
    with pytest.raises(ExecutionUnavailable, match=r"takes none of the graph's nodes \(taken: 9 by CPUExecution"):
        check_assignment(["CUDAExecutionProvider"], replace(CUDA, nodes={"CPUExecutionProvider": 9}))


class Driver:
    """NVIDIA's driver with one card, as far as it is asked; fails in one function, where that is given."""

    def __init__(self, failing: str = "") -> None:
        self._failing = failing

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *arguments: 100 if name == self._failing else self._answer(name, arguments)

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> int:
        if name == "cuDeviceGetCount":
            arguments[0]._obj.value = 1
        elif name == "cuDeviceGetName":
            arguments[0].value = b"A card"
        elif name == "cuDeviceGetAttribute":
            arguments[0]._obj.value = {75: 9, 76: 0}[arguments[1]]
        elif name == "cuGetErrorString":
            arguments[1]._obj.value = b"no CUDA-capable device is detected"
        return 0


def test_a_card_is_told_by_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: Driver())
    assert find_card(0) == Card("A card", "9.0")
    with pytest.raises(ExecutionUnavailable, match="device: expected a GPU below 1, found number 1"):
        find_card(1)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: Driver("cuInit"))
    with pytest.raises(ExecutionUnavailable, match=r"refuses cuInit: no CUDA-capable device is detected \(100\)"):
        find_card(0)


def missing(name: str, *_: object) -> None:
    raise OSError(f"{name}: cannot open shared object file")


def test_what_is_missing_is_told_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(ExecutionUnavailable, match=r"libcuda.so.1: cannot open .* \(NVIDIA's driver\)"):
        find_card(0)
    with pytest.raises(ExecutionUnavailable, match=r"libnvinfer.so.10: cannot open .*infobridge\[tensorrt\]"):
        load_tensorrt()
    with pytest.raises(ExecutionUnavailable, match=r"libcublasLt.so.13: cannot open .*libcublas.*infobridge\[gpu\]"):
        load_cuda()


def test_tensorrt_is_found_where_its_package_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str, *_: object) -> object:
        loaded.append(name)
        return SimpleNamespace(getInferLibVersion=lambda: 101303)

    (tmp_path / "libnvinfer.so.10").touch()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(graphics, "find_spec", lambda name: spec)
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert load_tensorrt() == "10.13.3"
    assert loaded == [str(tmp_path / "libnvinfer.so.10"), "libnvinfer_plugin.so.10", "libnvonnxparser.so.10"]


def test_libraries_without_a_card_still_end_in_a_refusal(
    predictors: list[Predictor], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime's own, real fallback: it is asked for CUDA, and gives a session on the CPU."""
    try:
        find_card(0)
    except ExecutionUnavailable:
        pass
    else:
        pytest.skip("there is a GPU, on which nothing falls back")
    monkeypatch.setattr(session, "find_card", lambda number: Card("A card", "9.0"))
    monkeypatch.setattr(session, "load_cuda", lambda: None)
    monkeypatch.setattr(session, "load_tensorrt", lambda: "10.13.3")
    check_targets(Execution(("tensorrt",)))
    folder = predictors[1].folder
    with pytest.raises(ExecutionUnavailable, match="cuda: asked for CUDAExecutionProvider, but ONNX Runtime runs"):
        Predictor(folder, Execution(("cuda",)))
    gpu = Gpu(engines=folder.parent / "engines")
    with pytest.raises(ExecutionUnavailable, match="tensorrt: ONNX Runtime refuses: "):
        Predictor(folder, Execution(("tensorrt",), gpu=gpu))
    [kept] = gpu.engines.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o700
    assert "EP Error" not in capfd.readouterr().out


def test_a_graph_in_bf16_is_refused_on_a_cpu_in_words(predictors: list[Predictor]) -> None:
    content = (predictors[0].folder / GRAPH).read_bytes()
    with pytest.raises(ExecutionUnavailable, match="cpu: a graph in bf16 needs cuda or tensorrt"):
        session.Session(session.GraphFile(content, "bf16", {}), Execution())


def test_a_graph_that_does_not_load_is_no_fault_of_the_provider(predictors: list[Predictor]) -> None:
    model = onnx.load(predictors[0].folder / GRAPH)
    model.graph.node[0].op_type = "Unheard"
    with pytest.raises(ManifestError, match="expected a graph that loads"):
        session.Session(session.GraphFile(model.SerializeToString(), "fp32", {}), Execution())


def test_targets_are_looked_at_without_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", missing)
    check_targets(Execution())
    check_targets(Execution(("cuda", "cpu")))
    with pytest.raises(ExecutionUnavailable, match=r"tensorrt: libcuda.so.1: .*; cuda: libcuda.so.1: "):
        check_targets(Execution(("tensorrt", "cuda", "cpu"), require_gpu=True))
