"""The command line: its help reads like documentation, and it becomes the configuration it says."""

import io
import re
from pathlib import Path

import pytest

from bundle.modalities import MODALITIES
from training.command import parse
from training.config import Config
from training.encoders.resnet import ResNet
from training.errors import ConfigError
from training.methods.joint import Joint

TABLE = ("--dataset", "table", "--dataset.path", "pairs.csv")


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ending:
        parse([*arguments, "--help"])
    assert not ending.value.code
    return capsys.readouterr().out


def options_in(text: str) -> dict[str, str]:
    """Each option of a help text with what is said of it, on one line."""
    lines = [line.strip("│ ") for line in text.splitlines()]
    found: dict[str, str] = {}
    current = ""
    for line in lines:
        if re.match(r"--?[a-z]", line):
            current = re.split(r"[ ,]", line)[0]
            found[current] = re.sub(r"^\S+( [A-Z{\[(]\S*)*", "", line)
        elif line.startswith(("╭", "╰", "──", "--")) or line.endswith(" options"):
            current = ""
        elif current:
            found[current] += " " + line
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [*TABLE, "--method", "joint"],
        ["--method", "unimodal", "--image.encoder", "resnet", "--image.encoder.depth", "50"],
    ],
)
def test_every_option_has_help_text(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = options_in(help_of(arguments, capsys))
    assert len(found) > 60
    bare = [name for name, text in found.items() if len(re.sub(r"\((default|required).*", "", text).strip()) < 4]
    assert bare == []


def test_help_shows_the_options_of_the_named_method_dataset_and_encoders(capsys: pytest.CaptureFixture[str]) -> None:
    default = options_in(help_of([], capsys))
    assert {"--method.alpha", "--dataset.samples", "--text.encoder.pretrained", "--genomics.encoder.widths"} <= set(
        default
    )
    other = options_in(help_of([*TABLE, "--method=joint", "--image.encoder=resnet"], capsys))
    assert "--method.alpha" not in other
    assert {"--dataset.path", "--dataset.gene-table", "--image.encoder.depth"} <= set(other)
    assert "--image.encoder.blocks" not in other and "--video.encoder.blocks" in other


def test_help_begins_with_what_the_program_does_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of([], capsys)
    assert "Train one classifier on paired modalities." in text
    assert "python -m training.fit --dataset table --dataset.path pairs.csv --out runs/mine" in text
    assert "{convolutional,resnet,vit}" in text, "the encoders that a modality may have are listed"


def test_options_become_the_configuration() -> None:
    arguments = "--method joint --image.encoder resnet --image.encoder.depth 50 --modalities image text --seed 3"
    found = parse([*TABLE, *arguments.split()])
    assert isinstance(found.config.method_options, Joint.Options)
    assert found.config.image.encoder_options == ResNet.Options(depth=50)
    assert found.config.modalities == ("image", "text")
    assert found.config.seed == 3
    assert (found.resume, found.overwrite) == (False, False)
    assert type(found.config.image) is type(Config().image), "a configuration has no classes of the command line"


def test_equals_signs_and_spaces_mean_the_same() -> None:
    spaced = parse([*TABLE, "--method", "joint", "--image.encoder", "resnet", "--image.encoder.depth", "50"])
    equal = parse([*TABLE, "--method=joint", "--image.encoder=resnet", "--image.encoder.depth=50"])
    assert equal == spaced


def test_flags_turn_augmentation_off_and_resume_and_overwrite_on() -> None:
    found = parse([*TABLE, "--augment.no-enabled", "--resume", "--overwrite"])
    assert not found.config.augment.enabled
    assert found.resume and found.overwrite


def test_a_dataset_brings_its_recipe_and_the_command_line_wins_over_it() -> None:
    recipe = parse([]).config
    assert recipe.epochs != Config().epochs
    assert parse(["--epochs", "3"]).config.epochs == 3
    assert parse([*TABLE]).config.epochs == Config().epochs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--method nope", "unknown name 'nope' in methods; known are"),
        ("--dataset nope", "unknown name 'nope' in datasets; known are"),
        ("--fusion nope", "unknown name 'nope' in fusion; known are"),
        ("--image.encoder nope", "unknown name 'nope' in encoders; known are"),
        ("--image.encoder snn", "encoder snn takes genomics, not image; choose --image.encoder among convolutional"),
        ("--genomics.encoder=resnet", "encoder resnet takes audio, video, image, pathology, not genomics"),
        ("--modalities image smell", "unknown modality 'smell'; known are audio, video"),
        ("--modalities image", "expected two or more different modalities, got image"),
        ("--modalities image image", "expected two or more different modalities, got image, image"),
        ("--epochs ten", "--epochs: invalid literal for int() with base 10: 'ten'; python -m training.fit --help"),
        ("--epochs", "--epochs"),
        ("--nonsense 3", "Unrecognized options: --nonsense"),
        ("--dataset table", "--dataset.path PATH"),
        ("--precision int4", "invalid choice 'int4'"),
        ("--image.fit sideways", "invalid choice 'sideways'"),
    ],
)
def test_a_mistake_is_one_line(arguments: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(arguments.split())
    assert message in str(error.value)
    assert "\n" not in str(error.value) and "│" not in str(error.value) and "──" not in str(error.value)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_every_modality_has_options_and_an_encoder_of_its_own(name: str) -> None:
    options = parse([*TABLE, "--out", "x"]).config.of(name)
    assert options.encoder_options is not None


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_mistake_is_one_line_on_any_terminal(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    with pytest.raises(ConfigError, match=r"^Unrecognized options: --nonsense; python -m training.fit --help"):
        parse(["--nonsense"])


def test_paths_are_kept_as_given() -> None:
    found = parse([*TABLE, "--out", "somewhere/a run", "--cache=kept"]).config
    assert (found.out, found.cache) == (Path("somewhere/a run"), Path("kept"))
