"""A line of JSON for each request, written together with those of the next tenth of a second."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from serving.logs import NAME

SECONDS = 0.1
"""Until lines are written. Every write lets another thread run, and the event loop waits for it to let go again."""


class AccessLog:
    """Collects lines while an event loop runs, and writes them to standard output."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._process = os.getpid()

    def write(self, known: dict[str, Any]) -> None:
        """Add a line, with what every line of the log says and what is `known` of this request."""
        line = {"message": "request", **known, "time": datetime.now(UTC).isoformat(), "level": "info"}
        self._lines.append(json.dumps({**line, "logger": NAME, "process": self._process}))
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has been collected."""
        lines, self._lines = self._lines, []
        if lines:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
