"""A real Triton server for tests that need one, which skip, saying why, where there is none."""

from pathlib import Path

import pytest

from scripts import triton


def server_or_skip() -> Path:
    """The folder of the server; skips the test, or the module, where it is not installed."""
    try:
        return triton.installed()
    except triton.Unavailable as error:
        pytest.skip(f"needs a Triton server: {error}", allow_module_level=True)
