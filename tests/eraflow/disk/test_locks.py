import errno

import pytest

from eraflow.disk import locks
from eraflow.disk.locks import own, owner_is_dead, take


def test_an_owner_is_dead_when_nobody_holds_the_lock(tmp_path):
    path = tmp_path / "a.lock"
    with path.open("w") as file:
        assert owner_is_dead(path)  # it is not yet held
        own(file)
        assert not owner_is_dead(path)
    assert owner_is_dead(path)


def test_of_what_cannot_be_opened_nothing_is_known(tmp_path):
    assert not owner_is_dead(tmp_path / "none.lock")
    assert not owner_is_dead(tmp_path)


def test_a_lock_that_another_holds_is_not_taken(tmp_path):
    path = tmp_path / "a.lock"
    with path.open("a") as first, path.open("a") as second:
        assert take(first)
        assert take(first)
        assert not take(second)
    with path.open("a") as third:
        assert take(third)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_a_file_system_has_no_locks_one_goes_on_without(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with (tmp_path / "a.lock").open("a") as file:
        assert take(file)
