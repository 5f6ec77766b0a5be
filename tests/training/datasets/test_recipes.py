"""The recipes: what §4.1 of the paper says of each dataset, and that every field of it can be changed."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from bundle.modalities import Audio, Modality, Video
from tests.training.datasets.gbmlgg_layout import gbmlgg, invented
from tests.training.datasets.layouts import ave, cremad, cremad_names, food101, ogm_lists
from tests.training.tables import QUICK
from training.command import parse
from training.config import Config
from training.fit import main
from training.loop import build_parts
from training.methods.infobridge import InfoBridge
from training.prepare import NAMES

PAPER = ("cremad", "ave", "food101", "gbmlgg")


def recipe(name: str, *options: str) -> Config:
    return parse(["--dataset", name, "--dataset.path", "somewhere", *options]).config


@pytest.mark.parametrize("name", PAPER)
def test_all_of_them_are_trained_as_the_paper_says(name: str) -> None:
    config = recipe(name)
    assert (config.optimiser, config.momentum, config.schedule) == ("sgd", 0.9, "cosine")
    assert (config.batch_size, config.weight_decay, config.method) == (128, 1e-4, "infobridge")
    method = config.method_options
    assert isinstance(method, InfoBridge.Options)
    assert (method.alpha, method.negatives_per_pair, method.memory) == (0.1, 5, 1024)
    assert (method.context, method.margin, method.variant) == ("semantic", True, "paper")


@pytest.mark.parametrize(
    ("name", "epochs", "rate"),
    [("cremad", 200, 0.01), ("ave", 200, 0.01), ("food101", 100, 0.001), ("gbmlgg", 150, 0.005)],
)
def test_epochs_and_learning_rates_are_those_of_the_paper(name: str, epochs: int, rate: float) -> None:
    config = recipe(name)
    assert (config.epochs, config.learning_rate) == (epochs, rate)


@pytest.mark.parametrize(("name", "size", "frames", "seconds"), [("cremad", 224, 3, 3.0), ("ave", 128, 4, 10.0)])
def test_spectrograms_and_frames_have_the_sizes_of_the_paper(name: str, size: int, frames: int, seconds: float) -> None:
    config = recipe(name)
    audio = config.audio
    assert audio.seconds == seconds
    made = Audio(audio.rate, seconds, audio.window, audio.hop, audio.bins)
    assert made.shape == (1, size, size)
    noise = np.random.default_rng(0).standard_normal(made.samples).astype(np.float32)
    assert np.ptp(made.normalise(noise).mean(axis=(0, 2))) < 12, "no band is empty"
    assert (config.video.frames, config.audio.encoder, config.video.encoder) == (frames, "resnet", "resnet")
    assert config.video.pool == 3, "drawn at random, not the same each epoch"
    assert config.audio.encoder_options.depth == config.video.encoder_options.depth == 18


def test_food_is_seen_and_read_by_pretrained_networks() -> None:
    config = recipe("food101")
    assert (config.image.encoder, config.image.size) == ("vit", 224)
    assert config.image.encoder_options.pretrained == "google/vit-base-patch16-224-in21k"
    assert (config.image.encoder_options.patch, config.image.encoder_options.layers) == (16, 12)
    assert config.text.encoder_options.pretrained == "bert-base-uncased"


def test_tumours_are_read_by_a_residual_network_of_50_layers_and_the_genomic_one() -> None:
    config = recipe("gbmlgg")
    assert (config.pathology.encoder, config.pathology.encoder_options.depth) == ("resnet", 50)
    assert config.genomics.encoder_options.widths == (64, 48, 32, 32)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_recipe_can_be_changed_on_the_command_line(name: str) -> None:
    given = recipe(name)
    changed = recipe(name, "--epochs", "3", "--batch-size", "7", "--method.alpha", "0.5", "--optimiser", "adamw")
    assert (changed.epochs, changed.batch_size, changed.method_options.alpha) == (3, 7, 0.5)
    same = replace(changed, epochs=given.epochs, batch_size=given.batch_size, optimiser=given.optimiser)
    same = replace(same, method_options=replace(same.method_options, alpha=given.method_options.alpha))
    assert [entry.name for entry in fields(Config) if getattr(same, entry.name) != getattr(given, entry.name)] == []
    assert recipe(name, "--method", "joint").epochs == given.epochs


def test_the_pretrained_weights_of_a_recipe_can_be_declined() -> None:
    config = recipe("food101", "--image.encoder.pretrained", "None", "--text.encoder.pretrained", "None")
    assert config.image.encoder_options.pretrained is config.text.encoder_options.pretrained is None
    assert (config.text.encoder_options.width, config.text.encoder_options.layers) == (768, 12), (
        "BERT-base from scratch"
    )


def test_without_the_weights_of_a_recipe_the_error_says_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    made = food101(tmp_path / "food")
    assert main(["--dataset", "food101", "--dataset.path", str(made), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "'bert-base-uncased'" in said and "(with None, where a dataset's recipe sets it)" in said


def layout(name: str, folder: Path) -> Path:
    if name == "cremad":
        ogm_lists(folder / "lists", cremad_names())
        return cremad(folder, cremad_names())
    return {"ave": lambda: ave(folder, True), "food101": lambda: food101(folder)}.get(
        name, lambda: gbmlgg(folder, invented())
    )()


@pytest.mark.parametrize("name", PAPER)
def test_a_layout_is_trained_on_with_one_command(name: str, tmp_path: Path) -> None:
    made = layout(name, tmp_path / "data")
    options = [*QUICK, "--method", "joint", "--audio.seconds", "0.3"]
    for modality in ("audio", "video", "image", "pathology"):
        options += [f"--{modality}.encoder", "convolutional"]
    options += ["--text.encoder.pretrained", "None"] if name == "food101" else []
    options += ["--dataset.stretch", "clip"] if name == "ave" else []
    named = ["--dataset", name, "--dataset.path", str(made), "--out", str(tmp_path / "run")]
    assert main([*named, *options]) == 0
    assert (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["cremad", "ave"])
def test_the_networks_of_a_recipe_can_be_built(name: str) -> None:
    config = recipe(name)
    options = config.audio
    found: dict[str, Modality] = {
        "audio": Audio(options.rate, options.seconds or 0.0, options.window, options.hop, options.bins),
        "video": Video(config.video.frames, config.video.size),
    }
    model, _ = build_parts(config, found, 6)
    assert {key: encoder.width for key, encoder in model.encoders.items()} == {"audio": 512, "video": 512}
