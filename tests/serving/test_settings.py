"""Settings from the environment."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import serving.settings
from serving.settings import Settings, SettingsError, pin_bundles


def test_defaults_and_empty_variables() -> None:
    assert Settings.from_environment({}) == Settings() == Settings.from_environment({"INFOBRIDGE_TIMEOUT": " "})


def test_every_setting_has_a_variable() -> None:
    given = {
        "bundles": "a, b:latest,",
        "providers": "CUDAExecutionProvider,CPUExecutionProvider",
        "inference_threads": "2",
        "decode_threads": "3",
        "max_batch": "5",
        "batch_wait_ms": "0",
        "queue_length": "7",
        "requests": "8",
        "timeout": "1.5",
        "body_limit": "100",
        "part_limit": "50",
    }
    assert set(given) == {setting.name for setting in fields(Settings)}
    found = Settings.from_environment({f"INFOBRIDGE_{name.upper()}": text for name, text in given.items()})
    assert found == Settings(
        bundles=("a", "b:latest"),
        providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
        inference_threads=2,
        decode_threads=3,
        max_batch=5,
        batch_wait_ms=0.0,
        queue_length=7,
        requests=8,
        timeout=1.5,
        body_limit=100,
        part_limit=50,
    )


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
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^INFOBRIDGE_{name}: "):
        Settings.from_environment({f"INFOBRIDGE_{name}": text})


def test_pinned_bundles_are_read_by_processes_started_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFOBRIDGE_BUNDLES", "relative")
    pin_bundles([tmp_path / "a", tmp_path / "b"])
    assert Settings.from_environment().bundles == (str(tmp_path / "a"), str(tmp_path / "b"))


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
