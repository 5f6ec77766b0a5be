"""Batch normalisation by the statistics of the whole batch, of which each process has a part."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.gathering import total


class GlobalBatchNorm(_BatchNorm):
    """What `torch.nn.SyncBatchNorm` is, for processors too, which that one refuses; same parameters, same state."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected an input of 2 or more dimensions, got {input.dim()}")

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, …)` to the same shape and type, computed in float32."""
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        self._check_input_dim(input)
        with torch.autocast(input.device.type, enabled=False):
            return self._normalise(input.float()).to(input.dtype)

    def _normalise(self, values: Tensor) -> Tensor:
        dimensions = [0, *range(2, values.dim())]
        shape = [1, -1, *[1] * (values.dim() - 2)]
        own = torch.full((1,), values.numel() / values.shape[1], dtype=torch.float64, device=values.device)
        sums = total(torch.cat([values.sum(dimensions, dtype=torch.float64), own]))
        size = sums[-1].detach()
        apart = values - (sums[:-1] / size).float().view(shape)
        variance = total(apart.square().sum(dimensions, dtype=torch.float64)) / size
        self._remember((sums[:-1] / size).detach(), variance.detach() * size / (size - 1))
        found = apart * (variance + self.eps).rsqrt().float().view(shape)
        return found if self.weight is None else found * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards the batch's."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        step = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), step)
        self.running_var.lerp_(variance.to(self.running_var.dtype), step)


def globalise(module: nn.Module, device: torch.device) -> None:
    """Replace all batch normalisations in a module by ones over all processes; parameters and state stay the same."""
    for name, child in module.named_children():
        if not isinstance(child, _BatchNorm):
            globalise(child, device)
        elif device.type == "cpu":
            setattr(module, name, _global(child))
        else:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]


def _global(layer: _BatchNorm) -> GlobalBatchNorm:
    found = GlobalBatchNorm(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    if layer.affine:
        found.weight, found.bias = layer.weight, layer.bias
    for name, buffer in layer.named_buffers(recurse=False):
        setattr(found, name, buffer)
    found.training = layer.training
    return found
