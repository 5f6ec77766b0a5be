"""What every encoder is: samples of one modality to feature vectors."""

from typing import Any, ClassVar

from torch import Tensor, nn

from bundle.modalities import Modality
from training.errors import ConfigError


class Encoder(nn.Module):
    """Encodes one modality. A subclass lives alone in `training/encoders/<name>.py` and has a frozen `Options`.

    Args:
        modality: the preprocessing whose arrays it will get.
        options: its own `Options`.
        architecture: what `architecture()` of a trained encoder gave; then nothing pretrained is loaded, since the
            checkpoint brings the weights.

    Raises:
        ConfigError: it does not accept this modality, or its options cannot be.
    """

    Options: ClassVar[Any]
    ACCEPTS: ClassVar[tuple[str, ...]]
    """Names of the modalities it can encode."""
    width: int
    """Width of the features."""

    def __init__(self, modality: Modality, options: Any, architecture: dict[str, Any] | None = None) -> None:
        super().__init__()
        del architecture
        if modality.name not in self.ACCEPTS:
            raise ConfigError(
                f"encoder {type(self).__name__} takes {', '.join(self.ACCEPTS)}, it cannot encode {modality.name}"
            )
        self.options = options

    def architecture(self) -> dict[str, Any] | None:
        """JSON values that rebuild the network without its pretrained source; None where the options are enough."""
        return None

    def forward(self, values: Tensor) -> Tensor:
        """`(batch, *modality.shape)` to `(batch, width)`."""
        raise NotImplementedError
