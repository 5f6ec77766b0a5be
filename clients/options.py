"""What may be asked beside a sample: which model, whether all of its inputs are required, when to abstain."""

from dataclasses import dataclass
from numbers import Real

from clients.errors import InvalidCall
from clients.payloads import Parts, encoded


@dataclass(frozen=True)
class Options:
    """None leaves a choice to the server, and is not sent.

    Raises:
        InvalidCall: a value of another type, or a number that is no probability.
    """

    model: str | None = None
    """Name of the model; else the inputs decide."""
    require_all: bool | None = None
    """Whether a sample that lacks an input of its model is an error; a strict server takes it for one anyway."""
    abstain_below: float | None = None
    """The least probability, 0..1, of a predicted class whose answer does not abstain; else the model's own."""

    def __post_init__(self) -> None:
        if self.require_all is not None and not isinstance(self.require_all, bool):
            raise InvalidCall(f"require_all: expected True, False or None, found {type(self.require_all).__name__}")
        below = self.abstain_below
        if below is None:
            return
        if isinstance(below, bool) or not isinstance(below, Real):
            raise InvalidCall(f"abstain_below: expected a number from 0 to 1, found {type(below).__name__}")
        if not 0 <= below <= 1:
            raise InvalidCall(f"abstain_below: expected a number from 0 to 1, found {below}")

    def parts(self) -> Parts:
        """The parts of a request that say so.

        Raises:
            InvalidCall: the model's name is no text in Unicode.
        """
        said = {
            "model": self.model,
            "require_all": None if self.require_all is None else str(self.require_all).lower(),
            "abstain_below": None if self.abstain_below is None else repr(float(self.abstain_below)),
        }
        return [(name, (None, encoded(name, text))) for name, text in said.items() if text is not None]
