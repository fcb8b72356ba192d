"""Files appear whole or not at all."""

import errno
import os

import pytest

from eraflow.store.atomic import StorageError, atomic_path, storage_errors, write_json, write_text


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
