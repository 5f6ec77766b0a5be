"""The self-normalising network for genomics: linear layers, SELU and alpha dropout (Klambauer et al. 2017)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from bundle.modalities import Modality
from training.encoder import Encoder
from training.errors import ConfigError


class SelfNormalising(Encoder):
    """Layers whose activations keep mean 0 and variance 1, initialised W ~ N(0, 1 / fan_in), b = 0."""

    ACCEPTS = ("genomics",)

    @dataclass(frozen=True)
    class Options:
        """Size of the network; the default widths are those of the paper's 80 -> 64 -> 48 -> 32 -> 32."""

        widths: tuple[int, ...] = (64, 48, 32, 32)
        """Width of each layer; the last is the width of the features."""
        dropout: float = 0.25
        """Alpha dropout after each layer."""
        activation: Literal["selu", "elu"] = "selu"
        """SELU keeps variance by theory; ELU is what the pathology-genomics literature used."""

        def __post_init__(self) -> None:
            """Refuse impossible values at construction."""
            if not self.widths or min(self.widths) < 1:
                raise ConfigError(f"encoder.widths must be one or more positive numbers, not {self.widths}")
            if not 0 <= self.dropout < 1:
                raise ConfigError(f"encoder.dropout must be from 0 up to, not including, 1, not {self.dropout}")

    def __init__(
        self, modality: Modality, options: "SelfNormalising.Options", architecture: dict[str, Any] | None = None
    ) -> None:
        super().__init__(modality, options, architecture)
        columns = modality.shape[0]
        assert columns is not None
        self.width = options.widths[-1]
        layers: list[nn.Module] = []
        for before, after in pairwise((columns, *options.widths)):
            linear = nn.Linear(before, after)
            nn.init.normal_(linear.weight, std=before**-0.5)
            nn.init.zeros_(linear.bias)
            activation = nn.SELU() if options.activation == "selu" else nn.ELU()
            layers += [linear, activation, nn.AlphaDropout(options.dropout)]
        self.layers = nn.Sequential(*layers)

    def forward(self, values: Tensor) -> Tensor:
        """`(batch, columns)` to `(batch, width)`."""
        encoded: Tensor = self.layers(values)
        return encoded
