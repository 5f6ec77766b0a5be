"""torch.compile of the encoders, where it can be had."""

import torch

from bundle.checking import one_line
from training.errors import ConfigError
from training.model import Classifier

LONGEST = 200
"""Characters of the compiler's error that a message repeats."""


def compile_encoders(model: Classifier, device: torch.device) -> None:
    """Compile each encoder when it is first called; weights keep their names.

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
    for encoder in model.encoders.values():
        encoder.compile()


def _small(values: torch.Tensor) -> torch.Tensor:
    return 2.0 * values.sin() + 1.0
