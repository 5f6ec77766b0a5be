"""The log of requests: many lines in one write, none lost, none late."""

import asyncio
import json

import pytest

from serving import access_log
from serving.access_log import AccessLog


def test_lines_are_written_together_soon_and_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        log = AccessLog()
        for number in range(3):
            log.write({"request_id": str(number), "status": 200})
        assert capsys.readouterr().out == ""
        await asyncio.sleep(3 * access_log.SECONDS)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["request_id"] for line in lines] == ["0", "1", "2"]
        assert all(line["message"] == "request" and line["level"] == "info" and line["time"] for line in lines)
        log.write({"request_id": "4"})
        log.flush()
        assert json.loads(capsys.readouterr().out)["request_id"] == "4"
        await asyncio.sleep(2 * access_log.SECONDS)
        assert capsys.readouterr().out == ""

    asyncio.run(main())


def test_a_name_that_is_no_text_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        log = AccessLog()
        log.write({"model": 'two\nlines "quoted"'})
        log.flush()

    asyncio.run(main())
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["model"] == 'two\nlines "quoted"'
