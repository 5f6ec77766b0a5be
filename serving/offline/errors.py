"""What can be wrong with an offline run beside its bundle and its table."""

from bundle.errors import BundleError


class InvalidOption(BundleError):
    """An option of a value that cannot be used, or that needs what is not installed."""


class EngineFailed(BundleError):
    """The engine gave up: its workers cannot be started, or die again and again."""
