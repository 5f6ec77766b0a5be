"""Memory does not grow with the rows but for eight bytes each, nor the requests with the table."""

import asyncio
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bundle.tables.answers import Layout
from bundle.tables.columns import choose
from bundle.tables.table import Row, Table
from clients.answer import Answer, parse
from clients.many.asking import Asking
from clients.many.journal import Journal
from clients.many.output import cells, write
from clients.rest_async import AsyncClient
from tests.clients.service import ANSWER

KNOWN = cells(parse(Answer, json.dumps(ANSWER).encode()))


def peak(folder: Path, rows: int) -> int:
    """Bytes that reading, noting and writing a table of so many rows take at most."""
    path = folder / "pairs.csv"
    with path.open("w") as file:
        file.write("text,label\n")
        file.writelines(f"some text of row {row},star\n" for row in range(rows))
    tracemalloc.start()
    try:
        table = Table.open(path)
        layout = Layout.of(table, choose(table.columns, (), folder))
        (folder / "answers.csv.partial").unlink(missing_ok=True)
        for _ in range(2):  # the second run reads what the first has written
            with Journal(folder / "answers.csv.partial", {}, table.rows) as journal:
                for row in table:
                    if journal.is_wanted(row.index, errors_too=False):
                        journal.record(row.index, KNOWN)
        with Journal(folder / "answers.csv.partial", {}, table.rows) as journal:
            write(folder / "answers.csv", table, layout, journal)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_flat_in_the_number_of_rows(tmp_path: Path) -> None:
    small, large = peak(tmp_path, 500), peak(tmp_path, 6_000)
    assert large - small < 8 * 6_000 + 50_000
    assert (tmp_path / "answers.csv").read_text().count("\n") == 6_001


@pytest.mark.parametrize(("batch", "concurrency"), [(1, 1), (1, 5), (4, 3)])
def test_no_more_requests_at_once_than_asked_for(tmp_path: Path, batch: int, concurrency: int) -> None:
    (tmp_path / "pairs.csv").write_text("text\n" + "".join(f"row {row}\n" for row in range(60)))
    table = Table.open(tmp_path / "pairs.csv")
    now = most = read = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        count = request.content.count(b'.text"') or 1
        content = ANSWER if batch == 1 else {"items": [{"answer": ANSWER}] * count}
        return httpx.Response(200, json=content)

    def rows() -> Iterator[Row]:
        nonlocal read
        for row in table:
            read += 1
            assert read <= journal.answers + batch * concurrency, "rows are read as they are asked"
            yield row

    class Silent:
        def advance(self, failed: bool) -> None:
            assert not failed

    async def ask() -> None:
        async with AsyncClient("http://x", transport=httpx.MockTransport(answer)) as client:
            await Asking(client, choose(["text"], (), tmp_path), journal, Silent(), batch=batch).all(
                rows(), concurrency
            )

    with Journal(tmp_path / "partial", {}, table.rows) as journal:
        asyncio.run(ask())
        assert journal.answers == 60
    assert most == concurrency
