"""The room of kept folds stays as small as it may be, and what is in use stays."""

from __future__ import annotations

import os

import pytest

from models.training.foldstore import FILES, MIB, NOTE, FoldStore


def written(tmp_path, key, size=MIB // 2):
    places = {name: tmp_path / f"{key}-{name}" for name in FILES}
    places[FILES[0]].write_bytes(os.urandom(size))
    return places


def kept(store, tmp_path, key, used=None, **more):
    with store.turn(key) as mine:
        assert mine
        store.keep(key, written(tmp_path, key, **more), {"seconds": 1.0})
    if used is not None:
        os.utime(store.folder / key / NOTE, (used, used))


def there(store):
    return {path.name for path in store.folder.glob("*/")}


@pytest.fixture
def store(tmp_path):
    return FoldStore(tmp_path / "folds", 2)


def test_the_least_recently_used_go_first(store, tmp_path):
    for used, key in enumerate("abc", 1000):
        kept(store, tmp_path, key, used)
    with store.turn("a"):
        assert store.take("a", {name: tmp_path / name for name in FILES}) is not None  # it is used now
    kept(store, tmp_path, "d")
    assert there(store) == {"a", "c", "d"}
    assert not (store.folder / "b.lock").exists()


def test_what_is_in_use_stays_and_what_is_too_large_goes_at_once(store, tmp_path):
    kept(store, tmp_path, "a", 1000)
    with store.turn("a"):
        kept(store, tmp_path, "large", size=3 * MIB)
        assert there(store) == {"a"}
    kept(store, tmp_path, "b", size=MIB // 4)
    assert there(store) == {"a", "b"}


def test_a_fold_is_taken_as_it_was_kept_and_what_it_lacks_is_removed(store, tmp_path):
    kept(store, tmp_path, "a")
    places = {name: tmp_path / "run" / name for name in FILES}
    places[FILES[1]].parent.mkdir()
    places[FILES[1]].write_bytes(b"of an earlier attempt")
    with store.turn("a"):
        note = store.take("a", places)
    assert note["seconds"] == 1.0
    assert places[FILES[0]].read_bytes() == (tmp_path / f"a-{FILES[0]}").read_bytes()
    assert not places[FILES[1]].exists()
    with store.turn("b"):
        assert store.take("b", places) is None


def test_what_a_killed_process_left_half_written_is_no_fold(store, tmp_path):
    store.folder.mkdir()
    left = store.folder / ".a.12345678.tmp"
    left.mkdir()
    (left / NOTE).write_text("{}")
    with store.turn("a"):
        assert store.take("a", {name: tmp_path / name for name in FILES}) is None
    kept(store, tmp_path, "a")
    assert not left.exists()
