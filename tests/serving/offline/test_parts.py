"""What a folder of parts is of, and who may go on with it."""

import resource
from pathlib import Path

import pytest

from bundle.errors import TableError
from serving.offline.parts import STATE, Parts

WHAT = {"table": "abc", "rules": {"limits": {"pixels": 5}, "sizes": (1, 2)}}
FP32 = "fp32 by CPUExecutionProvider"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "answers.csv.parts"


def begin(folder: Path, batch: int = 4) -> None:
    with Parts(folder, WHAT, None) as parts:
        assert parts.batch is None and parts.done == {}
        parts.settle(batch, FP32)
        parts.put(2, 1, b"two")
        parts.put(0, 0, b"zero")


def test_parts_are_there_again_with_their_errors_and_the_batch(folder: Path) -> None:
    begin(folder)
    for batch in (None, 4):
        with Parts(folder, WHAT, batch) as parts:
            assert parts.done == {0: 0, 2: 1} and parts.errors == 1 and parts.batch == 4
            assert parts.path(2).read_bytes() == b"two"
            parts.put(2, 1, b"two")
    with Parts(folder, WHAT, None) as parts:
        parts.remove()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("other", "batch", "name"),
    [(WHAT | {"table": "x"}, None, "table"), (WHAT, 5, "batch"), ({"rules": {}}, None, "rules and another table")],
)
def test_parts_of_another_run_are_refused_unless_they_are_to_be_forgotten(
    folder: Path, other: dict[str, object], batch: int | None, name: str
) -> None:
    begin(folder)
    with pytest.raises(TableError, match=rf"is of a run with another {name}; .*--overwrite"):
        Parts(folder, other, batch)
    with Parts(folder, other, batch, anew=True) as parts:
        assert parts.done == {} and parts.batch == batch
    assert len(list(folder.iterdir())) == 3, "a run that does not get so far as to be settled forgets nothing"
    with Parts(folder, other, batch, anew=True) as parts:
        parts.settle(4, FP32)
        assert [path.name for path in folder.iterdir()] == [STATE]
        parts.put(1, 0, b"one")
    with Parts(folder, other, None) as parts:
        assert parts.done == {1: 0}


def test_what_was_computed_otherwise_is_not_gone_on_with(folder: Path) -> None:
    begin(folder)
    with Parts(folder, WHAT, None) as parts:
        with pytest.raises(TableError, match=r"computed in fp32 by CPU\w+, found tf32 by CUDA\w+; give the same"):
            parts.settle(4, "tf32 by CUDAExecutionProvider")
        parts.settle(4, FP32)
        assert parts.done == {0: 0, 2: 1} and parts.path(0).read_bytes() == b"zero"


def test_a_folder_that_keeps_nothing_is_deleted(folder: Path) -> None:
    with Parts(folder, WHAT, None) as parts:
        parts.settle(4, FP32)
        assert folder.exists()
    assert not folder.exists()


def test_a_run_that_kept_nothing_yet_may_become_another(folder: Path) -> None:
    with Parts(folder, WHAT, None) as parts:
        parts.settle(4, FP32)
    with Parts(folder, {"table": "x"}, 7) as parts:
        assert parts.batch == 7
        parts.settle(7, FP32)
        parts.put(0, 0, b"")
    with pytest.raises(TableError, match="another"):
        Parts(folder, WHAT, None)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"table": "abc"}', b'{"batch": "many"}'])
def test_a_damaged_state_is_refused(folder: Path, content: bytes) -> None:
    begin(folder)
    (folder / STATE).write_bytes(content)
    with pytest.raises(TableError, match="is damaged; begin anew with --overwrite"):
        Parts(folder, WHAT, None)


def test_what_is_left_of_a_finished_run_is_none(folder: Path) -> None:
    begin(folder)
    (folder / STATE).unlink()
    with Parts(folder, WHAT, None) as parts:
        assert parts.done == {}


def test_half_a_part_is_none(folder: Path) -> None:
    begin(folder)
    (folder / "00000001.tmp").write_bytes(b"half")
    with Parts(folder, WHAT, None) as parts:
        assert parts.done == {0: 0, 2: 1}
    assert not (folder / "00000001.tmp").exists()


def test_two_runs_never_have_one_folder(folder: Path) -> None:
    with Parts(folder, WHAT, None), pytest.raises(TableError, match="another run is writing into it"):
        Parts(folder, WHAT, None)
    with Parts(folder, WHAT, None):
        pass


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TableError, match="expected a folder to write into"):
        Parts(tmp_path / "file" / "x", WHAT, None)


def test_a_full_disk_is_said_in_one_line_and_what_was_kept_stays(folder: Path) -> None:
    begin(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Parts(folder, WHAT, None) as parts:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        try:
            with pytest.raises(TableError, match="expected room for one more part"):
                parts.put(1, 0, bytes(20))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert parts.done == {0: 0, 2: 1}
