"""CONTRIBUTING.md's worked examples, run as a contributor would: written where they say, used by their command."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLES = dict(
    re.findall(r"```python (\S+\.py)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with every example written to its place."""
    copy = tmp_path_factory.mktemp("a checkout")
    for package in ("bundle", "training"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in EXAMPLES.items():
        (copy / name).write_text(content, encoding="utf-8")
    return copy


def fit(checkout: Path, *arguments: str) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "training.fit", "--out", "run", "--overwrite", "--epochs", "1", *arguments]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    content: dict[str, object] = json.loads((checkout / "run" / "run.json").read_text(encoding="utf-8"))
    return content


def test_there_is_an_example_of_each_kind() -> None:
    kinds = [str(Path(name).parent) for name in EXAMPLES]
    assert kinds == ["training/methods", "training/encoders", "training/datasets", "bundle/modalities"]


def test_a_new_method_and_a_new_encoder_are_one_file_each(checkout: Path) -> None:
    found = fit(
        checkout,
        *("--method", "multitask", "--method.weight", "0.3"),
        *("--modalities", "image", "text", "--image.encoder", "average", "--image.encoder.width", "8"),
        *("--dataset.samples", "80", "--image.size", "16"),
    )
    config = found["config"]
    assert isinstance(config, dict)
    assert config["method_options"] == {"weight": 0.3}
    assert config["image"]["encoder_options"] == {"width": 8}


def test_a_new_dataset_is_one_file(checkout: Path) -> None:
    generator = np.random.default_rng(0)
    for label, colour in (("dark", 60), ("light", 200)):
        (checkout / "pictures" / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(generator.normal(colour, 20, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(checkout / "pictures" / label / f"{number}.png")
            (checkout / "pictures" / label / f"{number}.txt").write_text(f"a {label} picture", encoding="utf-8")
    found = fit(checkout, "--dataset", "folders", "--dataset.path", "pictures", "--image.size", "16")
    assert found["labels"] == ["dark", "light"]


def test_a_new_modality_decodes_normalises_and_describes_itself(checkout: Path) -> None:
    path = checkout / "bundle/modalities/pulse.py"
    spec = importlib.util.spec_from_file_location("pulse", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pulse = module.Pulse(beats=8)
    payload = pulse.example(np.random.default_rng(0))
    assert pulse.normalise(pulse.decode(payload)).shape == pulse.shape
    assert module.Pulse.restore(pulse.parameters(), checkout) == pulse
    with pytest.raises(module.InvalidInput):
        pulse.decode(b"no list")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_in_house_style(name: str, tmp_path: Path) -> None:
    for arguments in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(ROOT / name), "-"],
            input=EXAMPLES[name],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
