"""Fixtures that every package's tests may use."""

import os
from pathlib import Path

import pytest

from tests.sharing import share

ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several workers (`-n 2`) take whole groups, long ones first; one process takes them in the same order."""
    items[:] = share(items)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real media and tables, from INFOBRIDGE_DATA or beside the repository; skips where it is absent."""
    folder = Path(os.environ.get("INFOBRIDGE_DATA") or ROOT / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip(f"needs real media: {folder} is absent (set INFOBRIDGE_DATA)")
    return folder
