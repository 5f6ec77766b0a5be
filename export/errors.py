"""Everything that an export can refuse with: the first proof that fails, by its own name.

ExportError
├── OutputMismatch     the graph's inputs or outputs are not those declared
├── AxisMismatch       an axis is dynamic or fixed against the declaration
├── ShapeMismatch      outputs of another shape than torch's
└── ValueMismatch      probabilities further from torch's than the tolerance
"""


class ExportError(Exception):
    """The root: the program prints it as one line and exits with 2."""


class OutputMismatch(ExportError):
    """Names or types of inputs or outputs differ from the declaration."""


class AxisMismatch(ExportError):
    """An axis that must vary is fixed, or the reverse."""


class ShapeMismatch(ExportError):
    """An output has another shape than torch gives."""


class ValueMismatch(ExportError):
    """An output's values differ from torch's."""
