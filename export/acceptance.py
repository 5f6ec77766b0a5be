"""Whether a graph in eight or sixteen bits is good enough: how often it is right and believed, beside 32 bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from export.errors import NotAccepted
from training.measures.improvement import Improvement

LARGEST_DROP = 0.005
"""The accuracy on test must drop by less than this."""
LARGEST_RISE = 0.01
"""The expected calibration error on test must rise by less than this."""
LARGEST_DIFFERENCE = 0.05
"""In sixteen bits, of a probability, and of a distance as a share of one more than itself: any held-out sample's."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Figures:
    """Of one graph on the test split, with every modality and its own temperatures."""

    accuracy: float
    calibration_error: float
    """Expected, with bins of equal mass, 0..1."""
    bytes: int
    """Size of the graph's file."""


@dataclass(frozen=True)
class Acceptance:
    """What fewer bits cost, measured."""

    kind: Literal["int8", "fp16", "bf16"]
    ways: Mapping[str, str]
    """By modality, how its tower is converted; those that are not are left out."""
    before: Figures
    after: Figures
    samples: int
    """Of test, on which the figures are."""
    calibrated: int
    """Training samples that showed the ranges of activations."""
    difference: float
    """Largest difference to the trained model in an output, over all validation and test samples."""
    spread: float
    """Largest difference of an output between two ways to run the graph itself: alone or in a batch, and with integers
    or as the graph defines them."""

    @property
    def option(self) -> str:
        """What usually asks for it."""
        return f"--{'quantize' if self.kind == 'int8' else 'precision'} {self.kind}"

    @property
    def tolerance(self) -> float:
        """How far two devices may be apart. In sixteen bits each rounds in its own way, about as far from the trained
        model as the other, so twice that."""
        return self.spread if self.kind == "int8" else max(self.spread, 2 * self.difference)

    @property
    def told(self) -> str:
        """In words."""
        towers = ", ".join(f"{name} {way}" for name, way in self.ways.items())
        one, other = self.before, self.after
        return (
            f"{towers}; on {self.samples} test samples accuracy {one.accuracy:.4f} -> {other.accuracy:.4f}, ECE "
            f"{one.calibration_error:.4f} -> {other.calibration_error:.4f}; {one.bytes / 1e3:,.0f} kB -> "
            f"{other.bytes / 1e3:,.0f} kB"
        )


def figures(fused: Improvement, size: int) -> Figures:
    """Of the output where every modality is there, and of a graph of so many bytes."""
    return Figures(fused.after.accuracy.value, fused.after.equal_mass.plug_in, size)


def accept(found: Acceptance, asked: str | None = None) -> None:
    """Accept what was measured.

    Args:
        found: the measurement.
        asked: the option that asked for it, where it is another than usual.

    Raises:
        NotAccepted: accuracy or calibration error suffer more than they may, or sixteen bits move an output too far.
    """
    option = found.option if asked is None else asked
    if found.kind != "int8" and found.difference > LARGEST_DIFFERENCE:
        raise NotAccepted(
            f"{option} is refused: expected outputs within {LARGEST_DIFFERENCE:g} of the trained model's, found "
            f"{found.difference:.3g} ({found.told}); without it the bundle is exported in 32 bits"
        )
    drop = found.before.accuracy - found.after.accuracy
    rise = found.after.calibration_error - found.before.calibration_error
    if drop < LARGEST_DROP - ROUNDING and rise < LARGEST_RISE - ROUNDING:
        return
    raise NotAccepted(
        f"{option} is refused: expected a drop of accuracy under {100 * LARGEST_DROP:g} points and of the "
        f"calibration error a rise under {LARGEST_RISE:g}, found a drop of {100 * drop:.2f} points and a rise of "
        f"{rise:.4f} ({found.told}); without it the bundle is exported in 32 bits"
    )
