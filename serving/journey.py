"""What is known of one request on its way: who it is, where its time went, and how it ended."""

import re
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from time import perf_counter, time

from starlette.types import Scope

KEY = "infobridge.journey"
STAGES = ("receive", "decode", "queue", "infer", "answer")
SENSIBLE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""A request id that a caller may choose: nothing that could break a line or a header."""
MILLISECONDS = 1000.0
PROCESS, NUMBERS = token_hex(10), count()
"""Together a request id of 32 hexadecimal digits; asking the system for random ones lets another thread run."""


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to the microsecond."""
    return round(seconds * MILLISECONDS, 3)


@dataclass(eq=False)
class Journey:
    """Collected while a request is answered; read by metrics, log, traces and the `Server-Timing` header."""

    request_id: str = field(default_factory=lambda: f"{PROCESS}{next(NUMBERS):012x}")
    started: float = field(default_factory=perf_counter)
    """`perf_counter` at the first byte."""
    wall: float = field(default_factory=time)
    """The same moment, in seconds since the epoch."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds by stage; of a batch, the sum over its samples."""
    model: str = ""
    problem: str = ""
    """The kind of problem it ended with."""
    received: int = 0
    """Bytes of the body."""
    parent: str = ""
    """The caller's `traceparent`, if it sent one."""

    @classmethod
    def of(cls, scope: Scope) -> "Journey":
        """The journey of a request; a new one where no layer around has begun it."""
        found: Journey = scope.setdefault(KEY, None) or cls()
        scope[KEY] = found
        return found

    def add(self, stage: str, seconds: float) -> None:
        """Count time for a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + max(0.0, seconds)

    def elapsed(self) -> float:
        """Seconds since the first byte."""
        return perf_counter() - self.started

    def server_timing(self) -> str:
        """The value of a `Server-Timing` header, in milliseconds."""
        return ", ".join(f"{stage};dur={milliseconds(self.stages[stage])}" for stage in STAGES if stage in self.stages)
