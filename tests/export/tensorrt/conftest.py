"""TensorRT-RTX for the tests, and runs of the encoders that have no bundle elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from bundle.modalities import Text
from export.assemble import assemble
from export.errors import ExportError
from export.tensorrt_library import Library, tensorrt_rtx
from tests.bundles import tiny_modality
from tests.export.conftest import Exported
from tests.export.runs import PLAIN, make_run, pretrained
from training.checkpoint import read
from training.config import AudioOptions, ImageOptions, PathologyOptions, VideoOptions
from training.encoders.vit import VisionTransformer

PATCHES = VisionTransformer.Options(width=16, layers=2, heads=2, patch=8)
"""As in the published recipes, but small: residual networks, and a vision transformer beside a text's."""
WANTED = ("audio+video", "pathology+genomics", "image+text")
"""The three pairings with their encoders."""


@pytest.fixture(scope="session")
def rtx() -> Library:
    """TensorRT-RTX; skips, saying why, where it is absent."""
    try:
        return tensorrt_rtx()
    except ExportError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory, exported: Callable[[str], Exported]) -> Callable[[str], Exported]:
    """A bundle by a name of `WANTED`, or of the fixture `exported`: "resnet", "pretrained" (a BERT)."""
    folder = tmp_path_factory.mktemp("tensorrt")
    text = tiny_modality("text")
    assert isinstance(text, Text)
    tiny = pretrained(folder / "downloaded", text).audio.encoder_options
    config = replace(
        PLAIN,
        audio=AudioOptions(encoder="resnet", encoder_options=tiny),
        video=VideoOptions(encoder="resnet", encoder_options=tiny),
        pathology=PathologyOptions(encoder="resnet", encoder_options=tiny),
        image=ImageOptions(encoder="vit", encoder_options=PATCHES),
    )

    @cache
    def made(name: str) -> Exported:
        if name not in WANTED:
            return exported(name)
        make_run(folder / "runs" / name, tuple(name.split("+")), config)
        run = read(folder / "runs" / name)
        assemble(run, folder / "bundles" / name, name)
        return Exported(run, folder / "bundles" / name)

    return made
