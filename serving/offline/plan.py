"""What an offline run is: the rows, the bundle, and all that decides what is written for a row."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bundle.errors import TableError
from bundle.limits import Limits
from bundle.manifest import FILE, Manifest
from bundle.tables.answers import Layout
from bundle.tables.columns import Columns, choose, listed
from bundle.tables.table import Row, Table

FORMAT = "infobridge offline 2"


@dataclass(frozen=True)
class Rules:
    """What every row is held to."""

    require_all: bool = False
    """Whether a row that lacks one of the bundle's inputs is an error."""
    abstain_below: float | None = None
    """The least probability of a predicted class whose answer does not abstain; None takes the bundle's own."""
    limits: Limits = field(default_factory=Limits)
    """Of one payload."""
    file_limit: int = 64 * 1024 * 1024
    """Bytes of one file."""


@dataclass(frozen=True)
class Shard:
    """One of several parts of the table that are next to each other: one after the other they are the table."""

    number: int = 1
    """From 1."""
    count: int = 1

    def rows(self, total: int) -> tuple[int, int]:
        """The first of its rows, and the first that is not, of `total`."""
        return total * (self.number - 1) // self.count, total * self.number // self.count

    def path(self, out: Path) -> Path:
        """Where its answers go: `out` where it is the only one, else beside it, in the order of the shards."""
        if self.count == 1:
            return out
        width = len(str(self.count))
        return out.with_name(f"{out.stem}-{self.number:0{width}}-of-{self.count}{out.suffix}")


@dataclass(frozen=True)
class Plan:
    """All that a worker must know, on this machine or another one that sees the same files."""

    bundle: Path
    out: Path
    """Of the shard's answers; its ending is the format."""
    table: Table
    columns: Columns
    layout: Layout
    rules: Rules
    shard: Shard
    part: int
    """Rows of a part, which is answered and kept as a whole."""

    @classmethod
    def make(cls, bundle: Path, table: Path, given: tuple[str, ...], out: Path, rules: Rules) -> "Plan":
        """A plan for a whole table, after a look at all of it.

        Raises:
            ManifestError: the bundle must not be used.
            TableError: the table cannot be read, or its columns do not fit.
        """
        bundle, table = bundle.expanduser().absolute(), table.absolute()
        inputs = Manifest.read(bundle).modalities
        found = Table.open(table)
        columns = choose(found.columns, given, table.parent, inputs)
        lacking = [name for name in inputs if name not in columns.modalities]
        if rules.require_all and lacking:
            raise TableError(
                f"{table}: expected columns for {', '.join(inputs)}, since none may be missing (--require-all), "
                f"found none for {', '.join(lacking)}; the table has {listed(found.columns)}"
            )
        return cls(bundle, out, found, columns, Layout.of(found, columns), rules, Shard(), found.rows)

    @property
    def bounds(self) -> tuple[int, int]:
        """The first row of the shard, and the first that is not of it."""
        return self.shard.rows(self.table.rows)

    @property
    def parts(self) -> int:
        """How many parts the shard has."""
        start, stop = self.bounds
        return -(-(stop - start) // self.part)

    def size(self, part: int) -> int:
        """Rows of one part, which are fewer in the last."""
        start, stop = self.bounds
        return min(self.part, stop - start - part * self.part)

    def rows(self, part: int) -> Iterator[Row]:
        """The rows of one part."""
        start = self.bounds[0] + part * self.part
        return self.table.part(start, start + self.size(part))

    def identity(self) -> dict[str, Any]:
        """What the answers, and what is kept of them, depend on: a run of another identity cannot go on with them."""
        return {
            "format": FORMAT,
            "table": self.table.digest,
            "bundle": hashlib.sha256((self.bundle / FILE).read_bytes()).hexdigest(),
            "columns": self.columns.named | {"genomics": listed(self.columns.genes), "genes": len(self.columns.genes)},
            "rules": asdict(self.rules),
            "shard": f"{self.shard.number}/{self.shard.count}",
            "part": self.part,
        }
