"""The learning rate of each epoch."""

import math

from training.config import Config


def learning_rate(config: Config, epoch: int) -> float:
    """The learning rate of an epoch (counted from 0): a linear rise over `warmup`, then cosine to 0 or constant."""
    if epoch < config.warmup:
        return config.learning_rate * (epoch + 1) / config.warmup
    if config.schedule == "constant":
        return config.learning_rate
    return (
        0.5
        * config.learning_rate
        * (1.0 + math.cos(math.pi * (epoch - config.warmup) / (config.epochs - config.warmup)))
    )
