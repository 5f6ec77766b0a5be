"""A bundle as a model of Triton: configurations by Triton's own messages, versions that follow each other."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from bundle.execution import Gpu, cuda_options
from bundle.manifest import FILE, Manifest, sha256
from bundle.plan import Plan, Proof
from bundle.predictor import Predictor
from export import triton_config
from export.__main__ import main
from export.errors import ExportError
from export.tensorrt_shapes import EngineOptions
from export.to_triton import CONFIG, Written, to_triton
from export.triton_config import BACKENDS, FLAVOURS, LABELS, TritonOptions, parse, to_text
from tests.bundles import PAIRINGS, build_bundle

DEFAULT = TritonOptions()
ON_CPU = TritonOptions(device="cpu")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {pairing: build_bundle(folder / "-".join(pairing), pairing) for pairing in PAIRINGS}


def config_of(folder: Path) -> Any:
    return parse((folder / CONFIG).read_text(encoding="utf-8"))


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("pairing", PAIRINGS)
def test_a_configuration_states_what_the_graph_takes_and_gives(
    bundles: dict[tuple[str, ...], Path], pairing: tuple[str, ...], flavour: str, tmp_path: Path
) -> None:
    bundle = bundles[pairing]
    predictor = Predictor(bundle)
    [prod, portable] = to_triton(bundle, tmp_path / "repository", DEFAULT)
    written = prod if flavour == "prod" else portable
    assert written == Written(tmp_path / "repository" / flavour / "-".join(pairing), 1)
    config = config_of(written.folder)
    feed = predictor.feed([predictor.prepare(examples(predictor))])
    assert [entry.name for entry in config.input] == list(feed)
    for entry in config.input:
        array = feed[entry.name]
        assert triton_config.protobuf().DataType.Name(entry.data_type) == triton_config.TYPES[str(array.dtype)]
        assert len(entry.dims) == array.ndim - 1
        assert all(stated in (-1, size) for stated, size in zip(entry.dims, array.shape[1:], strict=True))
    outputs = predictor.run([predictor.prepare(examples(predictor))])
    assert {entry.name for entry in config.output} == set(outputs)
    for entry in config.output:
        scalar = outputs[entry.name].ndim == 1
        assert tuple(entry.dims) == ((1,) if scalar else outputs[entry.name].shape[1:])
        assert entry.HasField("reshape") == (scalar and flavour == "prod")
        assert entry.label_filename == (LABELS if entry.name.startswith(("logits", "share")) else "")
    assert (written.folder / LABELS).read_text().splitlines() == list(Manifest.read(bundle).labels)
    assert config.backend == ("onnxruntime" if flavour == "prod" else "python")
    files = sorted(path.name for path in (written.folder / "1").iterdir())
    assert files == (["model.onnx"] if flavour == "prod" else ["model.onnx", "model.py"])
    assert (written.folder / "1" / "model.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()


def examples(predictor: Predictor) -> dict[str, bytes]:
    generator = np.random.default_rng(3)
    return {name: modality.example(generator) for name, modality in predictor.modalities.items()}


def test_a_warm_up_is_a_golden_sample_of_one_and_of_the_largest_batch(
    bundles: dict[tuple[str, ...], Path], tmp_path: Path
) -> None:
    bundle = bundles["image", "text"]
    for written in to_triton(bundle, tmp_path, TritonOptions(max_batch=4)):
        config = config_of(written.folder)
        assert [replay.batch_size for replay in config.model_warmup] == [1, 4]
        stored = np.load(bundle / "golden.npz")
        for replay in config.model_warmup:
            assert set(replay.inputs) == {"image", "text", "present"}
            for name in ("image", "text"):
                content = (written.folder / "warmup" / replay.inputs[name].input_data_file).read_bytes()
                golden = stored[f"0/array/{name}"]
                assert content == golden.tobytes() and tuple(replay.inputs[name].dims) == golden.shape
            present = written.folder / "warmup" / replay.inputs["present"].input_data_file
            assert present.read_bytes() == b"\1\1"


def test_what_is_asked_for_is_what_is_configured(bundles: dict[tuple[str, ...], Path], tmp_path: Path) -> None:
    asked = TritonOptions(
        max_batch=64,
        queue_delay_us=500,
        queue_size=9,
        queue_seconds=1.5,
        instances=3,
        device="gpu",
        threads=2,
        versions=4,
    )
    prod, portable = (config_of(written.folder) for written in to_triton(bundles["audio", "video"], tmp_path, asked))
    kinds = triton_config.protobuf().ModelInstanceGroup
    assert [(group.kind, group.count) for group in prod.instance_group] == [(kinds.KIND_GPU, 3)]
    assert [(group.kind, group.count) for group in portable.instance_group] == [(kinds.KIND_CPU, 3)]
    for config in (prod, portable):
        assert config.max_batch_size == 64 and config.version_policy.latest.num_versions == 4
        assert config.dynamic_batching.max_queue_delay_microseconds == 500
        policy = config.dynamic_batching.default_queue_policy
        assert (policy.max_queue_size, policy.default_timeout_microseconds) == (9, 1_500_000)
        assert policy.allow_timeout_override and policy.timeout_action == 0
        assert config.parameters["intra_op_thread_count"].string_value == "2"


@pytest.mark.parametrize("device", ["auto", "gpu"])
def test_onnx_runtime_is_told_to_compute_on_a_gpu_as_the_service_does(
    bundles: dict[tuple[str, ...], Path], tmp_path: Path, device: Literal["auto", "gpu"]
) -> None:
    written = to_triton(bundles["audio", "video"], tmp_path, TritonOptions(device=device))
    prod, portable = (config_of(model.folder) for model in written)
    [accelerator] = prod.optimization.execution_accelerators.gpu_execution_accelerator
    stated = cuda_options(Gpu())
    assert accelerator.name == "cuda" and dict(accelerator.parameters) == {
        "use_tf32": "0",
        "cudnn_conv_algo_search": stated["cudnn_conv_algo_search"],
    }
    assert not portable.optimization.execution_accelerators.gpu_execution_accelerator


def test_nothing_is_said_of_a_gpu_where_none_is_used(bundles: dict[tuple[str, ...], Path], tmp_path: Path) -> None:
    prod, _ = (config_of(model.folder) for model in to_triton(bundles["audio", "video"], tmp_path, ON_CPU))
    assert not prod.HasField("optimization")


@pytest.fixture
def in_bf16(tmp_path: Path) -> Path:
    """A bundle that states bf16, which is all that is asked here; its graph is not run."""
    bundle = build_bundle(tmp_path / "bf16", ("image", "text"))
    stated = json.loads((bundle / FILE).read_text())
    (bundle / FILE).write_text(json.dumps(stated | {"precision": "bf16"}))
    return bundle


def test_a_bundle_in_bf16_is_for_a_gpu_alone(in_bf16: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = tmp_path / "repository"
    assert main([str(in_bf16), "--triton", str(repository)]) == 0
    said = capsys.readouterr().out
    assert "no portable model" in said and "prod" in said and [path.name for path in repository.iterdir()] == ["prod"]
    config = config_of(repository / "prod" / Manifest.read(in_bf16).name)
    assert config.instance_group[0].kind == triton_config.protobuf().ModelInstanceGroup.KIND_GPU


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (TritonOptions(flavours=("portable",)), "flavours portable"),
        (TritonOptions(flavours=("prod", "portable")), "flavours portable"),
        (ON_CPU, "device cpu"),
    ],
)
def test_a_cpu_for_a_bundle_in_bf16_is_refused(in_bf16: Path, tmp_path: Path, asked: TritonOptions, named: str) -> None:
    with pytest.raises(ExportError, match=f"needs a GPU, .* found --triton-model.{named}"):
        to_triton(in_bf16, tmp_path / "repository", asked)
    assert not (tmp_path / "repository").exists()


def entry(bundle: Path, name: str) -> dict[str, Any]:
    """What a manifest says of an engine for at most 64 samples."""
    manifest = Manifest.read(bundle)
    taken = EngineOptions(max_batch=64).ranges(manifest.load_modalities(bundle))
    return asdict(Plan(name, "fp16", "10.16.1", "9.0", "a card", "ab" * 32, taken, Proof(4, 0.001, 0.02, 0)))


def with_engine(bundle: Path, *names: str) -> Path:
    """The bundle with further files that stand for engines."""
    (bundle / "engines").mkdir(exist_ok=True)
    stated = json.loads((bundle / FILE).read_text())
    for name in names:
        (bundle / name).write_bytes(name.encode())
        stated["files"][name] = sha256(bundle / name)
        stated["engines"].append(entry(bundle, name))
    (bundle / FILE).write_text(json.dumps(stated))
    return bundle


def test_an_engine_of_the_bundle_is_served_by_tensorrt(tmp_path: Path) -> None:
    bundle = build_bundle(tmp_path / "bundle", ("image", "text"))
    asked = TritonOptions(backend="tensorrt_plan")
    with pytest.raises(ExportError, match="expected one engine in the bundle, found none"):
        to_triton(bundle, tmp_path / "repository", asked)
    assert not (tmp_path / "repository").exists()
    with_engine(bundle, "engines/fp16.plan")
    prod, portable = to_triton(bundle, tmp_path / "repository", asked)
    config = config_of(prod.folder)
    assert (config.platform, config.backend) == ("tensorrt_plan", "")
    assert config.default_model_filename == BACKENDS["tensorrt_plan"]
    assert config.instance_group[0].kind == triton_config.protobuf().ModelInstanceGroup.KIND_GPU
    assert (prod.folder / "1" / "model.plan").read_bytes() == b"engines/fp16.plan"
    assert (portable.folder / "1" / "model.onnx").exists()
    with pytest.raises(ExportError, match=r"at most the 64 samples that engines/fp16\.plan was built for, found 65"):
        to_triton(bundle, tmp_path / "large", TritonOptions(backend="tensorrt_plan", max_batch=65))
    with_engine(bundle, "engines/bf16.plan")
    with pytest.raises(ExportError, match=r"found engines/fp16\.plan, engines/bf16\.plan; name one"):
        to_triton(bundle, tmp_path / "other", asked)
    [named] = to_triton(
        bundle, tmp_path / "named", TritonOptions(("prod",), backend="tensorrt_plan", engine="engines/bf16.plan")
    )
    assert (named.folder / "1" / "model.plan").read_bytes() == b"engines/bf16.plan"
    with pytest.raises(ExportError, match=r"expected an engine among .*, found 'engines/x\.plan'"):
        to_triton(bundle, tmp_path / "x", TritonOptions(backend="tensorrt_plan", engine="engines/x.plan"))


def test_names_and_labels_that_triton_cannot_have_are_refused(tmp_path: Path) -> None:
    bundle = build_bundle(tmp_path / "a", ("image", "text"), name="two words")
    for name in (None, "", "../x", ".hidden", "a/b"):
        with pytest.raises(ExportError, match="a model of Triton is a folder"):
            to_triton(bundle, tmp_path / "repository", DEFAULT, name)
    [written] = to_triton(bundle, tmp_path / "repository", TritonOptions(("portable",)), "two_words-1.5")
    assert config_of(written.folder).name == "two_words-1.5"
    lines = build_bundle(tmp_path / "b", ("image", "text"), labels=("one", "two\nlines"))
    with pytest.raises(ExportError, match="labels of one line"):
        to_triton(lines, tmp_path / "repository", DEFAULT)


@pytest.mark.parametrize(
    ("number", "value"),
    [("max_batch", 0), ("queue_size", 0), ("instances", 0), ("versions", 0), ("threads", 0), ("queue_delay_us", -1),
     ("queue_seconds", 0), ("flavours", ())],
)  # fmt: skip
def test_options_out_of_range_are_refused(number: str, value: Any) -> None:
    with pytest.raises(ExportError, match=number.partition("_")[0]):
        TritonOptions(**{number: value})


def test_what_is_no_configuration_and_what_does_not_read_back_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match="expected a configuration of a model"):
        parse("inputs: nothing")
    config = parse("name: 'x'")
    assert parse(to_text(config)) == config
    monkeypatch.setattr(triton_config, "parse", lambda text: None)
    with pytest.raises(ExportError, match="reads back as the same"):
        to_text(config)


def test_without_triton_s_messages_it_says_what_to_install(
    bundles: dict[tuple[str, ...], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(ExportError, match=r"pip install 'infobridge\[triton\]'"):
        to_triton(bundles["image", "text"], tmp_path, DEFAULT)


def test_a_bundle_without_a_whole_golden_sample_cannot_be_warmed_up(tmp_path: Path) -> None:
    bundle = build_bundle(tmp_path / "a", ("image", "text"))
    kept = {name: array for name, array in np.load(bundle / "golden.npz").items() if not name.endswith("array/text")}
    np.savez(bundle / "golden.npz", **kept)
    stated = json.loads((bundle / FILE).read_text())
    stated["files"]["golden.npz"] = sha256(bundle / "golden.npz")
    (bundle / FILE).write_text(json.dumps(stated))
    with pytest.raises(ExportError, match="expected a sample with every input"):
        to_triton(bundle, tmp_path / "repository", DEFAULT)
