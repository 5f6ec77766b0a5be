"""What a training came to, in plain words: is fusing worth it, who is ahead, who adds nothing where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.comparison.significance import Difference
from training.measures.gains import LEAST, NOTHING, ClassGain, class_gains, turned
from training.measures.intervals import Interval, accuracy_difference, accuracy_interval

TELLING = 6
"""Answers (or groups) that must differ, for one to be called better: of fewer, all may favour it by chance (2/2⁵)."""
NAMED = 5
"""Classes named in a sentence; of more, the rest is counted."""


@dataclass(frozen=True)
class Verdict:
    """Sentences, and the figures they are made of."""

    sentences: tuple[str, ...]
    fused: Interval
    """Accuracy of all modalities together, 0..1."""
    alone: dict[str, Interval]
    """Accuracy of each modality by itself, 0..1, best first."""
    best: str
    """The single modality that the fused model is held against."""
    gain: Difference
    """Fused minus best."""
    classes: tuple[ClassGain, ...]
    """For each modality and each class with enough samples."""


def verdict(
    labels: NDArray[np.int64],
    predictions: Mapping[str, NDArray[np.int64]],
    classes: Sequence[str],
    groups: NDArray[np.int64] | None = None,
    best: str | None = None,
) -> Verdict:
    """Judge a classifier of two or more modalities by its predictions with all, some and one of them.

    The words are those of 95 % intervals from a paired bootstrap; behind ± stands its side towards 0.

    Args:
        labels: `(samples,)` true classes.
        predictions: by coalition ("audio+video", "audio", "video"; names joined by "+"), `(samples,)` predicted
            classes; needed are all modalities together, each alone, and all without each.
        classes: names, by label.
        groups: `(samples,)` samples of one group are resampled together.
        best: the single modality to hold the fused model against, chosen on other samples than these; not given, it is
            the best on these, which favours the single modality a little.
    """
    everything = max(predictions, key=lambda name: name.count("+"))
    modalities = everything.split("+")
    assert len(modalities) >= 2, "two or more modalities"
    right = {name: predicted == labels for name, predicted in predictions.items()}
    order = sorted(modalities, key=lambda name: -float(right[name].mean()))
    best = order[0] if best is None else best
    fused = accuracy_interval(right[everything], groups)
    alone = {name: accuracy_interval(right[name], groups) for name in order}
    gain = accuracy_difference(right[everything], right[best], groups)
    gains = class_gains(labels, predictions, modalities, classes, groups)
    ahead, behind = right[order[0]], right[order[-1]]
    apart = accuracy_difference(ahead, behind, groups)
    sentences = [
        _fusing(fused, alone, best, gain, _word(gain, right[everything], right[best], groups), len(labels)),
        _ranking(alone, apart, _word(apart, ahead, behind, groups)),
        *(sentence for name in modalities for sentence in _of_modality(name, gains)),
    ]
    few = int((np.bincount(labels, minlength=len(classes)) < LEAST).sum())
    if few:
        several = f"{few} classes have" if few > 1 else "1 class has"
        sentences.append(f"{several} fewer than {LEAST} samples, too few to say what a modality adds there.")
    return Verdict(tuple(sentences), fused, alone, best, gain, gains)


def _word(found: Difference, one: NDArray[np.bool_], other: NDArray[np.bool_], groups: NDArray[np.int64] | None) -> str:
    """better, worse, or noise, which also few differing answers are."""
    turns = turned(one, other, groups)
    return found.verdict if turns.gained + turns.lost >= TELLING else "noise"


def _points(found: Difference, sign: str = "") -> str:
    """3.1 ± 0.8 points: behind ± the interval's side towards 0, so that it reaches the difference only in noise."""
    mean, margin = 100 * found.mean, 100 * (found.mean - found.low if found.mean > 0 else found.high - found.mean)
    return f"{mean if sign else abs(mean):{sign}.1f} ± {margin:.1f} points"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _fusing(
    fused: Interval, alone: Mapping[str, Interval], best: str, gain: Difference, word: str, samples: int
) -> str:
    one = f"The fused model ({_percent(fused.value)} right)"
    other = f"its best modality, {best} ({_percent(alone[best].value)})"
    if word == "noise":
        told = f"as far as {samples:,} samples tell"
        return f"{one} is no better than {other}, {told}: {_points(gain, '+')}, within the noise."
    return f"{one} {'beats' if word == 'better' else 'is worse than'} {other}, by {_points(gain)}."


def _ranking(alone: Mapping[str, Interval], apart: Difference, word: str) -> str:
    each = [f"{name} ({_percent(interval.value)})" for name, interval in alone.items()]
    first, last = each[0], each[-1]
    if word == "noise":
        return f"By themselves, {_listed(each)} are within the noise of each other: {_points(apart, '+')}."
    between = f", between them {_listed(each[1:-1])}" if len(each) > 2 else ""
    return f"By itself, {first} is ahead and {last} is behind, {_points(apart)} apart{between}."


def _of_modality(modality: str, gains: Sequence[ClassGain]) -> list[str]:
    """Where it adds most, where it harms, where it adds nothing, and where the samples do not tell."""
    own = [each for each in gains if each.modality == modality]
    added = sorted((each for each in own if each.effect == "adds"), key=lambda each: -each.gain.mean)
    harmed = sorted((each for each in own if each.effect == "harms"), key=lambda each: each.gain.mean)
    names = {effect: [each.label for each in own if each.effect == effect] for effect in ("nothing", "unused", "noise")}
    found = []
    if added:
        listed = _listed([f"{each.label} (by {_points(each.gain)})" for each in added[:NAMED]])
        found.append(f"{modality} adds {'most ' if len(added) > NAMED else ''}for {listed}.")
    if harmed:
        listed = _named([f"{each.label} (by {_points(each.gain)})" for each in harmed])
        found.append(f"{modality} harms {listed}: without it, more samples of that are right.")
    if names["nothing"]:
        found.append(
            f"{modality} adds nothing, or less than {100 * NOTHING:.0f} points, for {_named(names['nothing'])}."
        )
    if names["unused"]:
        found.append(
            f"{modality} adds nothing here for {_named(names['unused'])}: without it the same samples are right."
        )
    if names["noise"]:
        found.append(f"What {modality} adds for {_named(names['noise'])} is within the noise.")
    return found


def _named(names: Sequence[str]) -> str:
    if len(names) <= NAMED + 1:
        return _listed(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} other classes"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
