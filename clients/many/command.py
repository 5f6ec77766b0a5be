"""Ask a whole table: `python -m clients predict-many URL --table pairs.csv --out answers.csv`."""

import asyncio
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from bundle.errors import TableError
from bundle.tables.answers import Layout
from bundle.tables.columns import Columns, choose, listed
from bundle.tables.progress import RunProgress
from bundle.tables.table import Table, is_parquet, parquet
from bundle.tables.writing import check_name
from clients.errors import ClientError, InvalidCall
from clients.given import Given
from clients.many.asking import Asking
from clients.many.journal import Journal
from clients.many.output import write
from clients.options import Options
from clients.rest_async import AsyncClient

FORMAT = "infobridge predict-many 2"
SOME_FAILED = 3
STOPPED = 130


@dataclass(frozen=True)
class PredictMany:
    """Predict every row of a table. What was answered is kept: the same command goes on where a run was stopped.

    Exit code 0: all rows have answers; 3: some have errors instead, which are in the output; 2: the run could not be
    finished; 130: it was interrupted.
    """

    url: tyro.conf.Positional[str]
    """Address of the service, such as http://localhost:3000."""
    table: Path
    """CSV or Parquet file with a column for each modality: paths relative to the table's folder, the text itself, and
    genomics in all columns named gene_... An empty cell is a missing modality, which the answer does without."""
    out: Path
    """CSV or Parquet file to write: the table's columns (but for the genes) and those of the answers, in the order of
    the table. A column whose name is taken, such as the true label, is named answer_..."""
    model: Given = None
    """Name of the model; without it the server chooses by what a row holds."""
    require_all: tyro.conf.FlagCreatePairsOff[bool] = False
    """Make rows that lack a modality of their model errors, instead of answering without."""
    abstain_below: float | None = None
    """The least probability, from 0 to 1, of a class that is no case for a person; without it the model's own."""
    columns: tuple[str, ...] = ()
    """Columns of other names, as modality=column, for genomics a prefix; modality= leaves one out."""
    concurrency: int = 8
    """Requests at once."""
    batch: int = 1
    """Rows in a request."""
    key_file: Path | None = None
    """File that holds the key of the service; without it, the environment's INFOBRIDGE_KEY."""
    retries: int = 8
    """Further attempts for a row while the server is busy or away."""
    timeout: float = 60.0
    """Seconds to wait for the answer."""
    retry_errors: bool = False
    """Ask the rows again that have errors."""
    overwrite: bool = False
    """Forget earlier answers, and replace the output."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "batch"):
            if getattr(self, name) < 1:
                raise InvalidCall(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if is_parquet(self.table):
            parquet()
        self.options()
        check_name(self.out)
        if self.out.resolve() == self.table.resolve():
            raise InvalidCall("out: expected another file than the table")

    def options(self) -> Options:
        """What every row is asked with.

        Raises:
            InvalidCall: a number that is no probability.
        """
        return Options(self.model, self.require_all or None, self.abstain_below)

    @property
    def partial(self) -> Path:
        """Where answers are kept until all are there."""
        return self.out.with_name(self.out.name + ".partial")


def run(command: PredictMany, key: str | None) -> int:
    """Ask what is still to be asked, write the output where all rows have come back, and say how it went.

    Returns:
        The exit code.

    Raises:
        ClientError, TableError: the run could not be finished; the message says what is kept.
    """
    table = Table.open(command.table)
    columns = choose(table.columns, command.columns, command.table.parent)
    layout = Layout.of(table, columns)
    if command.out.exists() and not command.partial.exists() and not command.overwrite:
        raise InvalidCall(f"{command.out} is there already; --overwrite asks all rows anew and replaces it")
    with Journal(command.partial, _identity(command, table, columns), table.rows, command.overwrite) as journal:
        try:
            asyncio.run(_ask(command, key, table, columns, journal))
            write(command.out, table, layout, journal)
        except KeyboardInterrupt:
            print(f"stopped; {_kept(journal, table)}", file=sys.stderr)
            return STOPPED
        except (ClientError, TableError) as error:
            raise ClientError(f"{error}; {_kept(journal, table)}") from error
        if not journal.errors:
            journal.remove()
            print(f"{command.out}: {table.rows} answers")
            return 0
        print(f"{command.out}: {journal.answers} answers, {journal.errors} errors; --retry-errors asks those again")
        return SOME_FAILED


async def _ask(command: PredictMany, key: str | None, table: Table, columns: Columns, journal: Journal) -> None:
    wanted = (row for row in table if journal.is_wanted(row.index, command.retry_errors))
    errors = 0 if command.retry_errors else journal.errors
    with RunProgress(table.rows, journal.answers + errors, errors) as progress:
        async with AsyncClient(
            command.url, command.timeout, command.retries, key=key, connections=command.concurrency
        ) as client:
            asking = Asking(client, columns, journal, progress, command.options(), command.batch)
            await asking.all(wanted, command.concurrency)


def _kept(journal: Journal, table: Table) -> str:
    known = journal.answers + journal.errors
    return f"{journal.path} keeps {known} of {table.rows} rows, and the same command goes on from there"


def _identity(command: PredictMany, table: Table, columns: Columns) -> dict[str, object]:
    """What the answers depend on; how fast they are asked for may change from run to run."""
    return {
        "format": FORMAT,
        "table": table.digest,
        **asdict(command.options()),
        "columns": columns.named | {"genomics": listed(columns.genes), "genes": len(columns.genes)},
    }
