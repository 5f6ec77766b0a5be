"""Archives: whole or refused, unpacked once, and never outside of their folder."""

import io
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.training.datasets.openclipart_layout import deb
from training.archives import unpacked
from training.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "svg" / "deep").mkdir(parents=True)
    (tmp_path / "svg" / "deep" / "file.txt").write_text("content")
    return tmp_path / "svg"


def as_tar(source: Path, target: Path, ending: str) -> Path:
    with tarfile.open(target, f"w:{ending}") as tar:  # type: ignore[call-overload]
        tar.add(source, "usr/share/openclipart/svg")
    return target


def as_zip(source: Path, target: Path) -> Path:
    with ZipFile(target, "w") as packed:
        packed.write(source / "deep" / "file.txt", "usr/share/openclipart/svg/deep/file.txt")
    return target


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2", "gz.deb", "xz.deb"])
def test_an_archive_gives_its_files(kind: str, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / f"archive.{kind}"
    if kind == "zip":
        as_zip(folder, target)
    elif kind.endswith("deb"):
        deb(folder, target, kind.removesuffix(".deb"))
    else:
        as_tar(folder, target, kind.removeprefix("tar."))
    found = unpacked(target, tmp_path / "out")
    assert (found / "usr/share/openclipart/svg/deep/file.txt").read_text() == "content"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [found.name]


def test_it_is_unpacked_once_and_anew_where_it_changed(folder: Path, tmp_path: Path) -> None:
    archive = as_zip(folder, tmp_path / "archive.zip")
    first = unpacked(archive, tmp_path / "out")
    (first / "mark").touch()
    assert unpacked(archive, tmp_path / "out") == first and (first / "mark").exists()
    with ZipFile(archive, "a") as packed:
        packed.writestr("more", "more")
    assert unpacked(archive, tmp_path / "out") != first


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "gz.deb", "xz.deb"])
def test_a_cut_archive_is_refused_and_leaves_nothing(kind: str, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / f"archive.{kind}"
    if kind == "zip":
        as_zip(folder, target)
    elif kind.endswith("deb"):
        deb(folder, target, kind.removesuffix(".deb"))
    else:
        as_tar(folder, target, kind.removeprefix("tar."))
    target.write_bytes(target.read_bytes()[:-60])
    with pytest.raises(DataError, match="expected"):
        unpacked(target, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_members_outside_of_the_folder_are_refused(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../evil", "evil")
    with pytest.raises(DataError, match=r"members inside of it, found '\.\./evil'"):
        unpacked(tmp_path / "evil.zip", tmp_path / "out")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        member = tarfile.TarInfo("../evil")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="outside"):
        unpacked(tmp_path / "evil.tar", tmp_path / "out")
    assert not (tmp_path / "evil").exists() and not list((tmp_path / "out").iterdir())


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(DataError, match="expected a folder or an archive"):
        unpacked(tmp_path / "notes.txt", tmp_path / "out")


def test_a_package_packed_with_zstd_needs_dpkg(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = deb(folder, tmp_path / "archive.deb")
    package.write_bytes(package.read_bytes().replace(b"data.tar.xz    ", b"data.tar.zst   "))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DataError, match="dpkg-deb to read it, found neither"):
        unpacked(package, tmp_path / "out")


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.deb").write_bytes(b"!<arch>\n" + b"x" * 80)
    with pytest.raises(DataError, match="found a damaged one"):
        unpacked(tmp_path / "archive.deb", tmp_path / "out")
