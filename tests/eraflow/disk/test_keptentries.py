"""Folders that are kept under a key: whole or not there, whatever ends the one who makes them."""

from __future__ import annotations

import pytest

from eraflow.disk.keptentries import lock_of, put, turn
from eraflow.disk.locks import hold


def nothing(*_: object) -> None:
    """Nobody is told."""


def test_an_entry_takes_the_place_of_an_older_one_and_of_what_a_kill_left(tmp_path):
    (tmp_path / ".key.0123abcd.tmp").mkdir()
    put(tmp_path, "key", lambda folder: (folder / "old").write_text("1"))
    put(tmp_path, "key", lambda folder: (folder / "new").write_text("2"))
    assert [path.name for path in (tmp_path / "key").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_one_that_cannot_be_written_leaves_the_older_one(tmp_path):
    put(tmp_path, "key", lambda folder: (folder / "old").write_text("1"))

    def fail(folder):
        (folder / "half").write_text("2")
        raise ValueError("it went wrong")

    with pytest.raises(ValueError, match="went wrong"):
        put(tmp_path, "key", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key" / "old").read_text() == "1"


def test_a_turn_is_held_while_it_lasts(tmp_path):
    with turn(tmp_path, "key", nothing, nothing) as shared:
        assert shared
        assert hold(lock_of(tmp_path, "key")) is None
    lock = hold(lock_of(tmp_path, "key"))
    assert lock is not None
    lock.close()
