"""Everything that reading or using a bundle can raise.

BundleError
├── ManifestError          the bundle on disk is not what its manifest says, or says nothing we can read
├── ExecutionUnavailable   the graph cannot run where it was asked to: no such GPU, driver or library
├── SelfCheckFailed        the bundle does not reproduce its own golden samples on this machine
├── TableError             a table, or a row of it, that cannot be read as samples, or a table that cannot be written
├── WorkCancelled          nobody waits for the answer any more, so the work was ended; says nothing about the input
└── InvalidInput           one payload cannot be used; knows its field, what was expected and what came
    ├── UnsupportedMedia   the payload is not of a format this modality reads
    └── TooLarge           the payload is over a limit
"""


class BundleError(Exception):
    """The root: catch this to catch everything the bundle package raises on purpose."""


class ManifestError(BundleError):
    """A bundle folder that must not be used: missing, altered, of another version or inconsistent."""


class ExecutionUnavailable(BundleError):
    """A graph that cannot run where it was asked to; the message has the reason of the driver or library."""


class SelfCheckFailed(BundleError):
    """The golden samples stored in the bundle were not reproduced."""


class TableError(BundleError):
    """A table that is none or does not fit, one that cannot be written, or a row of which no sample can be made."""


class WorkCancelled(BundleError):
    """The work was ended early because its caller asked for it; never the fault of a payload."""


class InvalidInput(BundleError):
    """One payload that cannot become an array.

    Args:
        expected: what would have been accepted, in words.
        received: what came instead, in words; never the payload itself.
        field: the input's name, once known.
    """

    def __init__(self, expected: str, received: str, field: str | None = None) -> None:
        self.expected = expected
        self.received = received
        self.field = field
        super().__init__(expected, received, field)

    def __str__(self) -> str:
        """One line: `field: expected …, received …`."""
        prefix = f"{self.field}: " if self.field is not None else ""
        return f"{prefix}expected {self.expected}, received {self.received}"

    def at(self, field: str) -> "InvalidInput":
        """The same error, naming the field it belongs to."""
        return type(self)(self.expected, self.received, field)


class UnsupportedMedia(InvalidInput):
    """The payload's format is not one this modality reads."""


class TooLarge(InvalidInput):
    """The payload is over a size, pixel or duration limit."""
