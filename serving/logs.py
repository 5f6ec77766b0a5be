"""Logs as one JSON object a line, whoever writes them: the service, BentoML, its process manager or uvicorn."""

import logging
import sys
import warnings
from typing import Any

from pythonjsonlogger.json import JsonFormatter

NAME = "infobridge"
OTHERS = ("bentoml", "bentoml.access", "circus", "uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that others give handlers of their own."""
QUIET = {
    "python_multipart": logging.ERROR,  # its warnings quote what clients send
    "uvicorn.error": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "bentoml.access": logging.CRITICAL,
    "circus": logging.WARNING,
    "PIL": logging.CRITICAL,  # its remarks on broken pictures say nothing that the answer does not
}


class _Formatter(JsonFormatter):
    """Time, level, logger, message, and whatever was given as `extra`."""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        log_data["process"] = record.process


def configure() -> None:
    """Send everything to standard output as JSON; again and again does no harm."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Formatter("%(message)s", timestamp="time"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OTHERS:
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger(NAME).setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", module="PIL")
