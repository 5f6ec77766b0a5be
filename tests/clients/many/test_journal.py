"""What is known of the rows survives a kill at any byte."""

import resource
from pathlib import Path

import pytest

from clients.errors import InvalidCall
from clients.many.journal import Journal

WHAT = {"table": "abc", "model": None}
GOOD = {"label": "häuser\n", "error_kind": None}
BAD = {"label": None, "error_kind": "too-large"}


def state(journal: Journal) -> list[bool]:
    return [journal.is_wanted(row, errors_too=False) for row in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.csv.partial"


def test_rows_are_known_in_whatever_order_they_came(path: Path) -> None:
    with Journal(path, WHAT, 4) as journal:
        assert state(journal) == [True] * 4
        for row, cells in ((2, GOOD), (0, BAD)):
            journal.record(row, cells)
        assert journal.cells(2) == GOOD | {"row": 2}
        journal.record(3, GOOD)
    with Journal(path, WHAT, 4) as journal:
        assert state(journal) == [False, True, False, False] and (journal.answers, journal.errors) == (2, 1)
        assert [journal.cells(row) for row in (3, 0, 2)] == [GOOD | {"row": 3}, BAD | {"row": 0}, GOOD | {"row": 2}]
        assert journal.is_wanted(0, errors_too=True) and not journal.is_wanted(2, errors_too=True)
        journal.record(0, GOOD)
        assert (journal.answers, journal.errors) == (3, 0)
    with Journal(path, WHAT, 4) as journal:
        assert (journal.answers, journal.errors) == (3, 0) and journal.cells(0) == GOOD | {"row": 0}
        journal.remove()
    assert not path.exists()


def test_a_kill_at_any_byte_loses_at_most_the_line_being_written(path: Path) -> None:
    with Journal(path, WHAT, 4) as journal:
        journal.record(1, GOOD)
        journal.record(3, BAD)
    whole = path.read_bytes()
    ends = [place + 1 for place, sign in enumerate(whole) if sign == ord("\n")]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        lines = sum(end <= size for end in ends)
        with Journal(path, WHAT, 4) as journal:
            assert state(journal) == [True, lines < 2, True, True]
            journal.record(0, GOOD)
            assert journal.cells(0) == GOOD | {"row": 0}
        with Journal(path, WHAT, 4) as journal:
            assert state(journal) == [False, lines < 2, True, True]


@pytest.mark.parametrize("other", [{"table": "abd", "model": None}, {"table": "abc", "model": "x"}, {"table": "abc"}])
def test_the_file_of_another_run_is_refused_unless_it_is_to_be_forgotten(path: Path, other: dict[str, str]) -> None:
    with Journal(path, WHAT | {"x": 1}, 4) as journal:
        journal.record(1, GOOD)
    with pytest.raises(InvalidCall, match=r"is of a run with another .*x; .*--overwrite"):
        Journal(path, other, 4)
    with Journal(path, other, 4, anew=True) as journal:
        assert state(journal) == [True] * 4
    with Journal(path, other, 4) as journal:
        assert state(journal) == [True] * 4


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", b'{"row": 9, "error_kind": null}\n', b'{"row": 1}\n'])
def test_a_damaged_line_is_refused(path: Path, line: bytes) -> None:
    with Journal(path, WHAT, 4) as journal:
        journal.record(1, GOOD)
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(InvalidCall, match=r"line 3 is damaged"):
        Journal(path, WHAT, 4)


def test_two_runs_never_write_one_file(path: Path) -> None:
    with Journal(path, WHAT, 4), pytest.raises(InvalidCall, match="another run is writing it"):
        Journal(path, WHAT, 4)
    with Journal(path, WHAT, 4):
        pass


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCall, match="expected a file to write, No such file"):
        Journal(tmp_path / "none" / "x", WHAT, 4)


def test_a_full_disk_is_said_in_one_line_and_what_was_written_stays(path: Path) -> None:
    with Journal(path, WHAT, 4) as journal:
        journal.record(1, GOOD)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
        try:
            for _ in range(2):
                with pytest.raises(InvalidCall, match="expected room for one more line, found"):
                    journal.record(2, GOOD)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with Journal(path, WHAT, 4) as journal:
        assert state(journal) == [True, False, True, True]
