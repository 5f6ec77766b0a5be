"""Settings from the environment."""

import ast
from dataclasses import fields, replace
from pathlib import Path

import pytest

import serving.settings
from bundle.errors import ExecutionUnavailable
from bundle.execution import Execution, Gpu
from bundle.limits import Limits
from serving.settings import Settings, SettingsError, pin_paths


def test_defaults_and_empty_variables() -> None:
    assert Settings.from_environment({}) == Settings() == Settings.from_environment({"INFOBRIDGE_TIMEOUT": " "})


def test_every_setting_has_a_variable() -> None:
    given = {
        "bundles": "a, b:latest,",
        "providers": "tensorrt, cuda, cpu",
        "require_gpu": "true",
        "gpu_device": "1",
        "gpu_tf32": "true",
        "gpu_convolutions": "exhaustive",
        "gpu_memory": "1000",
        "gpu_growth": "exact",
        "tensorrt_fp16": "true",
        "tensorrt_engines": "engines",
        "inference_threads": "2",
        "decode_threads": "3",
        "max_batch": "5",
        "batch_wait_ms": "0",
        "queue_length": "7",
        "requests": "8",
        "timeout": "1.5",
        "body_limit": "100",
        "part_limit": "50",
        "batch_items": "9",
        "pixels": "10",
        "tile_pixels": "11",
        "frame_pixels": "12",
        "audio_seconds": "1.5",
        "video_seconds": "2.5",
        "frames": "13",
        "characters": "14",
        "key_file": "keys",
        "cors_origins": "https://a.example, https://b.example",
        "access_log": "false",
        "require_all": "true",
    }
    assert set(given) == {setting.name for setting in fields(Settings)}
    found = Settings.from_environment({f"INFOBRIDGE_{name.upper()}": text for name, text in given.items()})
    assert found == Settings(
        bundles=("a", "b:latest"),
        providers=("tensorrt", "cuda", "cpu"),
        require_gpu=True,
        gpu_device=1,
        gpu_tf32=True,
        gpu_convolutions="exhaustive",
        gpu_memory=1000,
        gpu_growth="exact",
        tensorrt_fp16=True,
        tensorrt_engines=Path("engines"),
        inference_threads=2,
        decode_threads=3,
        max_batch=5,
        batch_wait_ms=0.0,
        queue_length=7,
        requests=8,
        timeout=1.5,
        body_limit=100,
        part_limit=50,
        batch_items=9,
        pixels=10,
        tile_pixels=11,
        frame_pixels=12,
        audio_seconds=1.5,
        video_seconds=2.5,
        frames=13,
        characters=14,
        key_file=Path("keys"),
        cors_origins=("https://a.example", "https://b.example"),
        access_log=False,
        require_all=True,
    )
    assert found.limits() == Limits(10, 11, 12, 1.5, 2.5, 13, 14)
    gpu = Gpu(1, True, "exhaustive", 1000, "exact", True, Path("engines"), 64)
    assert found.execution() == Execution(("tensorrt", "cuda", "cpu"), True, 2, gpu)
    assert replace(found, max_batch=100).execution().gpu.largest_batch == 100


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BODY_LIMIT", "many"),
        ("BODY_LIMIT", "0"),
        ("DECODE_THREADS", "-1"),
        ("MAX_BATCH", "1.5"),
        ("TIMEOUT", "nan"),
        ("TIMEOUT", "inf"),
        ("BATCH_WAIT_MS", "-1"),
        ("PROVIDERS", "cpu,CUDAExecutionProvider"),
        ("GPU_DEVICE", "-1"),
        ("GPU_CONVOLUTIONS", "fast"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^INFOBRIDGE_{name}: "):
        Settings.from_environment({f"INFOBRIDGE_{name}": text})


def test_a_gpu_cannot_be_required_where_none_is_asked_for() -> None:
    with pytest.raises(ExecutionUnavailable, match="expected cuda or tensorrt among the providers, found cpu"):
        Settings(require_gpu=True).execution()


def test_pinned_paths_are_read_by_processes_started_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFOBRIDGE_BUNDLES", "now,tag:latest")
    monkeypatch.setenv("INFOBRIDGE_KEY_FILE", "keys")
    (tmp_path / "version").mkdir()
    (tmp_path / "now").symlink_to("version")
    monkeypatch.chdir(tmp_path)
    pin_paths(Settings.from_environment())
    monkeypatch.chdir("/")
    found = Settings.from_environment()
    assert found.bundles == (str(tmp_path / "now"), "tag:latest")  # a link stays one, and a tag too: a reload asks anew
    assert found.key_file == tmp_path / "keys"


def test_every_setting_is_documented_and_nothing_else_reads_the_environment() -> None:
    source = Path(serving.settings.__file__)
    [settings] = [node for node in ast.parse(source.read_text()).body if getattr(node, "name", "") == "Settings"]
    assert isinstance(settings, ast.ClassDef)
    for node, following in zip(settings.body, [*settings.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and not ast.unparse(node.annotation).startswith("ClassVar"):
            assert isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant), ast.unparse(node)
    for other in source.parent.glob("*.py"):
        assert other == source or "environ" not in other.read_text().replace("from_environment", ""), other


def test_a_misspelt_setting_is_refused_and_the_likely_one_is_named() -> None:
    with pytest.raises(SettingsError, match="did you mean INFOBRIDGE_BODY_LIMIT"):
        Settings.from_environment({"INFOBRIDGE_BODY_LIMITS": "3"})
    assert Settings.from_environment({"INFOBRIDGE_DATA": "elsewhere"}) == Settings()
