"""torch.compile of the encoders, where it can be had."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch

from bundle.checking import one_line
from training.errors import ConfigError

LONGEST = 200
"""Characters of the compiler's error that a message repeats."""


@dataclass
class CompiledEncoders:
    """Compiled forms of a classifier's encoders, which share their weights, for the training batches of one size.

    What is compiled holds for one size of batch and for training mode, and takes minutes for a large network. So the
    size seen first is the one that is compiled for; a smaller last batch, and every evaluation, run the encoders as
    they are.
    """

    encoders: dict[str, nn.Module]
    """By modality, as they are."""
    compiled: dict[str, Callable[[Tensor], Tensor]]
    """By modality."""
    size: int | None = None
    """Samples of the batches that the compiled forms take; None before the first."""

    def __call__(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Arrays by modality to features by modality, `(batch, width)`."""
        size = len(next(iter(inputs.values())))
        self.size = size if self.size is None else self.size
        if size != self.size:
            return {name: encoder(inputs[name]) for name, encoder in self.encoders.items()}
        found = {}
        for name, forward in self.compiled.items():
            if inputs[name].dim() == 2 and not inputs[name].is_floating_point():
                torch._dynamo.maybe_mark_dynamic(inputs[name], 1)  # texts are as long as the longest of their batch
            found[name] = forward(inputs[name])
        return found


def compile_encoders(encoders: nn.ModuleDict, device: torch.device) -> CompiledEncoders:
    """The encoders in compiled form; each is compiled when it is first called.

    Raises:
        ConfigError: nothing can be compiled on this machine, for want of a compiler or anything else.
    """
    try:
        compiled = torch.compile(_small)
        compiled(torch.ones(8, device=device))
    except Exception as error:  # the compilers raise types of their own
        raise ConfigError(
            f"compile cannot be had on this machine: {one_line(error)[:LONGEST]}; leave --compile out"
        ) from None
    functorch.donated_buffer = False  # some methods, and a look at how terms pull, go backwards through a graph twice
    return CompiledEncoders(dict(encoders), {name: torch.compile(encoder) for name, encoder in encoders.items()})


def _small(values: Tensor) -> Tensor:
    return 2.0 * values.sin() + 1.0
