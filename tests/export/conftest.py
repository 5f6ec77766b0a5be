"""Runs and the bundles made from them, each made once for the whole session."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from bundle.modalities import Text
from export.assemble import assemble
from tests.bundles import tiny_modality
from tests.export.runs import PLAIN, RESNET, STACKING, make_run, pretrained
from training.checkpoint import Checkpoint, read
from training.fit import main as fit

SMALL = (
    "--image.size 24 --image.encoder.width 16 --text.encoder.width 16 --text.encoder.layers 1 --text.encoder.heads 2 "
    "--dataset.folder data --dataset.samples 320 --modalities image text --epochs 2 --out runs/mine"
)
"""A training of seconds."""
NAMES = ("averaged", "stacked", "resnet", "snn", "pretrained")
MODALITIES = {
    "averaged": ("audio", "video"),
    "stacked": ("video", "audio"),
    "resnet": ("image", "text"),
    "snn": ("pathology", "genomics"),
    "pretrained": ("text", "audio", "image"),
}
"""The three pairings, one of them in the other order, and three modalities at once."""
CONFIGS = {"averaged": PLAIN, "stacked": STACKING, "resnet": RESNET, "snn": PLAIN}


@dataclass(frozen=True)
class Exported:
    run: Checkpoint
    bundle: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """By a name of `NAMES`; what was pretrained is gone before the export."""
    folder = tmp_path_factory.mktemp("export")

    @cache
    def made(name: str) -> Exported:
        if name == "pretrained":
            text = tiny_modality("text")
            assert isinstance(text, Text)
            config = pretrained(folder / "downloaded", text)
            make_run(folder / "runs" / name, MODALITIES[name], config)
            shutil.rmtree(folder / "downloaded")
        else:
            make_run(folder / "runs" / name, MODALITIES[name], CONFIGS[name])
        run = read(folder / "runs" / name)
        assemble(run, folder / "bundles" / name, name)
        return Exported(run, folder / "bundles" / name)

    return made


@pytest.fixture(scope="session")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, runs/mine, on generated data that is still there."""
    folder = tmp_path_factory.mktemp("with-data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert fit(SMALL.split()) == 0
    return folder


@pytest.fixture(params=NAMES)
def every(request: pytest.FixtureRequest, exported: Callable[[str], Exported]) -> Exported:
    """Each of the bundles in turn."""
    return exported(request.param)


@pytest.fixture(scope="session")
def one(exported: Callable[[str], Exported]) -> Exported:
    """The smallest, where any will do."""
    return exported("snn")
