"""Which tests one worker runs, so that what they share is made once, however many workers there are."""

from collections.abc import Sequence

import pytest

SHARED = ("exported", "server", "sturdy")
"""Fixtures of the whole session that take long to make; all modules that use one go to one worker."""
LONG = ("tests/serving/", "tests/export/", "tests/benchmarks/", "tests/clients/", "tests/test_")
"""Where tests take long: they start first, so that no worker is left alone with them at the end."""


def share(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Mark each test with its group for `--dist loadgroup`: its module, or what the module shares with others.

    Returns:
        The same tests, those of long groups first, otherwise in their order.
    """
    modules: dict[str, str] = {}
    for item in items:
        module = item.nodeid.split("::")[0]
        fixtures: Sequence[str] = getattr(item, "fixturenames", ())
        shared = next((name for name in SHARED if name in fixtures), None)
        modules[module] = shared or modules.get(module, module)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(modules[item.nodeid.split("::")[0]]))
    return sorted(items, key=lambda item: not item.nodeid.startswith(LONG))
