"""Values that no training can have are refused when the configuration is made."""

import math
from typing import Any

import pytest

from training.config import AugmentOptions, Config, TextOptions
from training.errors import ConfigError, check_modalities

NAN = math.nan


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": 1}, "batch_size must be at least 2, not 1"),
        ({"workers": -1}, "workers must be at least 0, not -1"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"warmup": 20}, "warmup must be less than epochs, 20, not 20"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number, not 0.0"),
        ({"learning_rate": -1.0}, "learning_rate must be a positive number"),
        ({"learning_rate": NAN}, "learning_rate must be a positive number, not nan"),
        ({"learning_rate": math.inf}, "learning_rate must be a positive number, not inf"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"weight_decay": NAN}, "weight_decay must not be negative, it is nan"),
        ({"momentum": 1.0}, "momentum must be from 0 up to, not including, 1"),
        ({"momentum": NAN}, "momentum must be from 0"),
        ({"modalities": ("image",)}, "two or more different modalities, got image"),
        ({"modalities": ("image", "smell")}, "unknown modality 'smell'; known are audio, video, image"),
    ],
)
def test_an_impossible_value_is_refused_with_what_is_possible(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**values)


@pytest.mark.parametrize("value", [-0.1, NAN, 2.0])
@pytest.mark.parametrize("name", ["crop", "shift", "noise", "token_dropout", "gene_dropout"])
def test_an_impossible_augmentation_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"augment.{name}"):
        AugmentOptions(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1.0, NAN, math.inf])
def test_an_impossible_gain_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"augment\.gain"):
        AugmentOptions(gain=value)


@pytest.mark.parametrize("value", [-1, 0, 4, 2_000_000])
def test_an_impossible_vocabulary_is_refused(value: int) -> None:
    with pytest.raises(ConfigError, match=r"text\.vocabulary"):
        TextOptions(vocabulary=value)


def test_no_modalities_leave_the_choice_to_the_dataset() -> None:
    check_modalities(())
    assert Config().modalities == ()


def test_the_options_of_a_modality_are_found_by_its_name() -> None:
    config = Config()
    assert config.of("image") is config.image
