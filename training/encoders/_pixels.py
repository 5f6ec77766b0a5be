"""Uint8 pixels to standardised floats: the first layer of every picture encoder, so the graph takes plain bytes."""

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Pixels(nn.Module):
    """`(..., channels, height, width)` uint8 to float32, standardised; float input passes unchanged."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.449,), (0.226,))
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] * 255.0, persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None] * 255.0, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Scale and standardise."""
        if values.dtype != torch.uint8:
            return values
        return (values.float() - self.mean) / self.std
