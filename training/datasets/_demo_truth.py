"""What a generated sample is made from: the truth that its files only hint at."""

from dataclasses import dataclass

import numpy as np

SHARED = ("low", "middle", "high")
SOUND = ("steady", "pulsing")
SIGHT = ("disc", "ring")
CLASSES = len(SHARED) * len(SOUND) * len(SIGHT)
UNCLEAR = 10
"""One sample in so many keeps `shared` from the ear."""
PARTS = ("train", "train", "val", "train", "test")
"""Split of each round of all classes."""


@dataclass(frozen=True)
class Truth:
    """The class is (shared, sound, sight): no modality knows all three."""

    shared: int
    """In every modality, but see `clear`: pitch, words, the first columns; and the spacing of stripes fainter than
    the noise."""
    sound: int
    """In audio, text and genomics alone: a steady or a pulsing tone."""
    sight: int
    """In video, image and pathology alone: discs or rings."""
    clear: bool
    """Whether `shared` can be told from audio, text or genomics; elsewhere only sight has it."""
    detail: float
    """-1..1, in every modality where `shared` is and independent of the class: what a pair has in common beyond it."""

    @property
    def label(self) -> str:
        """The class, as three words."""
        return f"{SHARED[self.shared]}-{SOUND[self.sound]}-{SIGHT[self.sight]}"


def truth_of(number: int, seed: int) -> Truth:
    """What sample `number` is made from: all classes in turn, each of them unclear equally often in every split."""
    place, rounds = number % CLASSES, number // CLASSES
    shared, sound, sight = place % 3, place // 3 % 2, place // 6
    clear = (place + rounds // len(PARTS)) % UNCLEAR != 0
    return Truth(shared, sound, sight, clear, float(np.random.default_rng((seed, number)).uniform(-1, 1)))


def split_of(number: int) -> str:
    """The split of sample `number`: three fifths train, a fifth val, a fifth test."""
    return PARTS[number // CLASSES % len(PARTS)]
