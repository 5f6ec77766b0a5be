"""Everything that an export can refuse with: the first proof that fails, by its own name.

ExportError
├── OutputMismatch     the graph's inputs or outputs are not those declared
├── AxisMismatch       an axis is dynamic or fixed against the declaration
├── ShapeMismatch      outputs of another shape than torch's, or none for a batch that torch takes
├── ValueMismatch      values further from torch's than the tolerance, or that contradict one another
├── NotCalibrated      what was asked for cannot be learned from the run's validation samples
├── NotAccepted        in fewer bits the classifier is more often wrong, or less to be believed, than is allowed
└── TensorRTRefused    TensorRT's parser does not take the graph, or its builder makes no engine of it
"""


class ExportError(Exception):
    """The root: the program prints it as one line and exits with 2."""


class OutputMismatch(ExportError):
    """Names or types of inputs or outputs differ from the declaration."""


class AxisMismatch(ExportError):
    """An axis that must vary is fixed, or the reverse."""


class ShapeMismatch(ExportError):
    """An output has another shape than torch gives, or the graph does not run on what torch takes."""


class ValueMismatch(ExportError):
    """An output's values differ from torch's, from one another, or with what must not change them."""


class NotCalibrated(ExportError):
    """The run's samples do not tell what was asked for: a temperature, a threshold of distance or of abstention."""


class NotAccepted(ExportError):
    """A graph in fewer bits loses more than it may on the held-out samples; the message holds the figures."""


class TensorRTRefused(ExportError):
    """A graph that TensorRT cannot run; the message names the node where the parser says which."""


def first_line(error: BaseException) -> str:
    """What an error of another library says, cut to one line; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
