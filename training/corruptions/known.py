"""The corruptions of each modality."""

from training.corruptions.corruption import Corruption
from training.corruptions.genes import GENES
from training.corruptions.letters import TEXTS
from training.corruptions.pictures import PICTURES
from training.corruptions.sound import SOUND

CORRUPTIONS: dict[str, tuple[Corruption, ...]] = {
    "audio": SOUND,
    "video": PICTURES,
    "image": PICTURES,
    "text": TEXTS,
    "pathology": PICTURES,
    "genomics": GENES,
}
"""By modality; one that has none is only exchanged for another sample's."""
EXCHANGED = "of another sample"
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Of the samples, of which one modality is exchanged for another sample's, by severity."""
