"""Files appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from eraflow.disk.atomic import StorageError, atomic_path, remove_leftovers, storage_errors, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_refusals_of_the_system_are_named(tmp_path, number):
    with pytest.raises(StorageError, match="storage: cannot write"), storage_errors(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_other_system_errors_pass_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        (tmp_path / "none").read_text()


def test_a_path_below_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="storage"):
        write_text(tmp_path / "file" / "below.txt", "y")


def test_a_full_disk_is_named():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with (
        pytest.raises(StorageError, match="the disk is full"),
        storage_errors("/dev/full"),
        open("/dev/full", "wb") as full,
    ):
        full.write(b"x" * 100_000)


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system in which nothing can be made")
@pytest.mark.parametrize("path", ["/proc/no-such-folder/a.json", "/proc/a.json"])
def test_a_place_where_nothing_can_be_made_is_named(path):
    with pytest.raises(StorageError, match="nothing can be made there"):
        write_text(path, "x")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("underlying IO error: No space left on device"), Exception("database or disk is full")],
)
def test_a_full_disk_is_named_whatever_library_tells_of_it(tmp_path, error):
    with pytest.raises(StorageError, match="the disk is full"), storage_errors(tmp_path):
        raise error
    with pytest.raises(RuntimeError, match="something else"), storage_errors(tmp_path):
        raise RuntimeError("something else")


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "a").mkdir()
    for name in (".x.parquet.0123abcd.tmp", "a/.y.89abcdef.tmp", "a/mine.tmp", "a/.theirs.tmp", ".hidden"):
        (tmp_path / name).write_text("")
    assert {path.name for path in remove_leftovers(tmp_path)} == {".x.parquet.0123abcd.tmp", ".y.89abcdef.tmp"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".hidden", ".theirs.tmp", "a", "mine.tmp"]
