"""Corruptions of texts: tokens lost, and letters mistyped.

Mistyped letters are the synthetic noise of Belinkov and Bisk, "Synthetic and natural noise both break neural machine
translation" (2018): swapped, dropped, doubled or another one. The levels are ours.
"""

import numpy as np

from bundle.modalities import Array
from training.corruptions.corruption import Corruption, Subject
from training.pairs import payload

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def loss(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Without a share of the tokens, but never the first and the last, which are usually special, nor all others."""
    luck = generator.random(len(subject.array))
    keep = luck >= level
    keep[[0, -1]] = True
    if len(keep) > 2:
        keep[1 + int(luck[1:-1].argmax())] = True
    return np.asarray(subject.array[keep])


def mistyping(subject: Subject, level: float, generator: np.random.Generator) -> Array:
    """Read again from a text in which a share of the letters is mistyped."""
    given = payload(subject.source)
    text = given.decode("utf-8-sig") if isinstance(given, bytes) else str(given)
    changed = mistyped(text, level, generator)
    return subject.modality.decode(changed if changed.strip() else text)


def mistyped(text: str, level: float, generator: np.random.Generator) -> str:
    """A text of which each letter is mistyped with a probability: dropped, doubled, another, swapped with the next."""
    luck, kinds = generator.random(len(text)), generator.integers(0, 4, len(text))
    others = generator.integers(0, len(ALPHABET), len(text))
    found: list[str] = []
    waiting = ""  # a letter that comes after its neighbour
    for letter, draw, kind, other in zip(text, luck, kinds, others, strict=True):
        typed = letter
        if letter.isalpha() and draw < level:
            if kind == 3 and not waiting:
                waiting = letter
                continue
            typed = ("", letter * 2, ALPHABET[other], letter)[kind]
        found.append(typed + waiting)
        waiting = ""
    return "".join(found) + waiting


TEXTS = (
    Corruption("tokens lost", (0.1, 0.2, 0.35, 0.5, 0.7), "share of the tokens", loss),
    Corruption("letters mistyped", (0.05, 0.1, 0.15, 0.25, 0.4), "share of the letters", mistyping),
)
