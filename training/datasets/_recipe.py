"""What §4.1 of the paper says of all four datasets."""

from dataclasses import replace

from training.config import Config
from training.methods.infobridge import InfoBridge


def paper(config: Config, modalities: tuple[str, ...], epochs: int, learning_rate: float) -> Config:
    """SGD with momentum 0.9, cosine decay, batches of 128, weight decay 1e-4; α = 0.1, N0 = 5, a memory of 1024."""
    return replace(
        config,
        modalities=modalities,
        epochs=epochs,
        batch_size=128,
        optimiser="sgd",
        learning_rate=learning_rate,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="cosine",
        method_options=InfoBridge.Options(alpha=0.1, negatives_per_pair=5, memory=1024),
    )
