"""A request with the answer it must get, and what is counted of many."""

import ipaddress
import math
import re
import statistics
from dataclasses import dataclass, field

TOLERANCE = 1e-3
"""Of a probability: other batches, and torch, round differently."""
BEST = re.compile(rb'"label":\s*"([^"]*)",\s*"probability":\s*([-+.0-9eE]+)')


@dataclass(frozen=True)
class Target:
    """Where requests go.

    Raises:
        ValueError: not this machine.
    """

    port: int
    path: str
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"expected a loopback address, got {self.host}: this is no tool against other machines")


@dataclass(frozen=True)
class Call:
    """A request body, and the best class that its answer must name."""

    content_type: str
    body: bytes
    label: str
    probability: float

    def request(self, target: Target) -> bytes:
        """The whole HTTP request."""
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nAccept: application/json\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode("ascii") + self.body

    def answered_by(self, body: bytes) -> bool:
        """Whether an answer is the right one, not merely some sample's."""
        found = BEST.search(body)
        if found is None:
            return False
        return found[1] == self.label.encode() and abs(float(found[2]) - self.probability) <= TOLERANCE


@dataclass
class Figures:
    """What was measured."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    """Seconds of each right answer."""
    answered: int = 0
    """Answers of any kind, those of the warm-up included."""
    errors: int = 0
    """Other statuses, broken connections, no answer."""
    mismatches: int = 0
    """Status 200 with another answer than expected."""
    refusals: dict[str, int] = field(default_factory=dict)
    """What the errors were."""

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency that this share of answers does not exceed, in milliseconds; NaN without answers."""
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return 1e3 * ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    @property
    def mean(self) -> float:
        """Mean latency in milliseconds."""
        return 1e3 * statistics.fmean(self.latencies) if self.latencies else float("nan")

    def refuse(self, reason: str) -> None:
        """Count an error."""
        self.errors += 1
        self.refusals[reason] = self.refusals.get(reason, 0) + 1
