"""A configuration becomes the command line that gives it again."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.export.runs import PLAIN, STACKING
from training.arguments import arguments, command
from training.command import parse
from training.config import Config

CASES = [
    "",
    "--epochs 3 --seed 7 --modality-dropout 0.3",
    "--method joint --modalities image text --image.encoder resnet --image.size 32 --text.vocabulary 500",
    "--dataset table --dataset.path pairs.csv --dataset.group section --modalities pathology genomics",
    "--method.context cluster --method.no-margin --fusion film --precision bf16 --augment.crop 0.5",
    "--genomics.encoder.widths 16 8 --modalities pathology genomics --optimiser sgd --keep last",
]


def meant(config: Config) -> Config:
    """What the command line is for: not where the run lies."""
    usual = Config()
    return replace(config, out=usual.out, cache=usual.cache, workers=usual.workers)


@pytest.mark.parametrize("given", CASES)
def test_what_was_asked_for_is_asked_for_again(given: str) -> None:
    config = parse([*shlex.split(given), "--out", "somewhere", "--workers", "3"]).config
    modalities = config.modalities or ("audio", "video")
    again = arguments(config, modalities)
    assert meant(parse(again).config) == meant(config)
    assert "somewhere" not in again and "--workers" not in again


@pytest.mark.parametrize("config", [PLAIN, STACKING])
def test_a_configuration_made_without_a_command_line_has_one_too(config: Config) -> None:
    config = replace(config, modalities=("video", "audio"))
    found = parse(arguments(config, ("video", "audio"))).config
    for name in ("audio", "video", "epochs", "learning_rate", "modalities"):
        assert getattr(found, name) == getattr(config, name)


def test_options_of_unused_modalities_are_left_out() -> None:
    config = parse(["--image.size", "32", "--audio.rate", "11025"]).config
    assert "--image.size" not in arguments(config, ("audio", "video"))
    assert arguments(config, ("audio", "video"))[-2:] == ["--audio.rate", "11025"]


def test_the_command_tells_nothing_of_the_maker_s_folders() -> None:
    config = parse(["--dataset", "table", "--dataset.path", str(Path.home() / "my data" / "the pairs.csv")]).config
    found = command(config, ("image", "text"))
    assert found.startswith("python -m training.fit --dataset table")
    assert "--dataset.path 'the pairs.csv'" in found and str(Path.home()) not in found
