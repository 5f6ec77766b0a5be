"""The linear layer of every fusion, with the first weights of the compared methods' common code."""

from torch import nn


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Weights by Xavier's normal rule, biases 0, as OGM-GE's official code starts its fusions."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
