"""Locks: one holder or many that share, none that outlives its owner, and no pretence where there are none."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eraflow.disk import locks
from eraflow.disk.atomic import StorageError
from eraflow.disk.locks import NoLocksError, hold, my_turn, own, owner_is_dead, take, wait_for
from eraflow.errors import EraflowError

HOLD = """
import sys, time
from pathlib import Path
from eraflow.disk.locks import hold
file = hold(Path(sys.argv[1]), shared=sys.argv[2] == "shared")
print("refused" if file is None else "mine", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other():
    """Starts a process that holds a lock, or is refused and says so; none survives the test."""
    started = []

    def start(path, how="alone"):
        child = subprocess.Popen([sys.executable, "-c", HOLD, path, how], stdout=subprocess.PIPE, text=True)
        started.append(child)
        return child, child.stdout.readline().strip()

    yield start
    for child in started:
        child.kill()
        child.wait(10)
        child.stdout.close()


def kill(child):
    child.send_signal(signal.SIGKILL)
    child.wait(10)


@pytest.mark.parametrize(
    ("theirs", "ours", "both"),
    [("alone", "alone", False), ("alone", "shared", False), ("shared", "alone", False), ("shared", "shared", True)],
)
def test_two_processes_hold_a_lock_only_when_both_share_it(tmp_path, other, theirs, ours, both):
    path = tmp_path / "deep" / "a.lock"
    child, said = other(path, theirs)
    assert said == "mine"
    got = hold(path, shared=ours == "shared")
    assert (got is not None) == both
    if got is not None:
        got.close()
    kill(child)
    with own(path):  # the kernel dropped it with its owner
        assert other(path, theirs)[1] == "refused"


def test_those_who_share_keep_out_whoever_wants_it_alone_until_the_last_of_them_is_dead(tmp_path, other):
    path = tmp_path / "a.lock"
    first, second = (other(path, "shared")[0] for _ in range(2))
    kill(first)
    assert hold(path) is None
    kill(second)
    own(path).close()


def test_an_owner_is_dead_when_nobody_holds_the_lock(tmp_path, other):
    path = tmp_path / "a.lock"
    path.write_text("what it says stays")
    assert owner_is_dead(path)
    child, _ = other(path)
    assert not owner_is_dead(path)
    kill(child)
    assert owner_is_dead(path)
    own(path).close()
    assert path.read_text() == "what it says stays"


def test_of_what_cannot_be_opened_nothing_is_known(tmp_path):
    assert not owner_is_dead(tmp_path / "none.lock")
    assert not owner_is_dead(tmp_path)
    assert not (tmp_path / "none.lock").exists()


def test_a_lock_belongs_to_an_open_file_not_to_a_process(tmp_path):
    """Who holds it and asks again by another opening is refused like anybody else; the same file may be asked again."""
    path = tmp_path / "a.lock"
    with own(path) as mine:
        assert take(mine)
        assert hold(path) is None
        assert hold(path, shared=True) is None
        with pytest.raises(BlockingIOError, match=r"a\.lock"):
            own(path)
        assert not owner_is_dead(path)
        found = []
        thread = threading.Thread(target=lambda: found.append(hold(path)))
        thread.start()
        thread.join(10)
        assert found == [None]
    own(path).close()


def test_a_child_that_lives_on_does_not_keep_the_lock(tmp_path):
    code = HOLD.replace("time.sleep(60)", "import subprocess; print(subprocess.Popen(['sleep', '30']).pid, flush=True)")
    command = [sys.executable, "-c", code, tmp_path / "a.lock", "alone"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "mine\n"
        survivor = int(child.stdout.readline())
        child.wait(10)
        child.stdout.close()
    try:
        own(tmp_path / "a.lock").close()
    finally:
        os.kill(survivor, signal.SIGKILL)


@pytest.mark.parametrize("what", ["removed", "another renamed over it"])
def test_a_file_that_its_holder_replaced_while_one_came_is_no_lock_and_the_next_one_is(tmp_path, monkeypatch, what):
    """Between the opening and the lock the holder goes and takes the file's name away."""
    path, real, seen = tmp_path / "a.lock", locks.fcntl.flock, []

    def flock(descriptor, how):
        if not seen:
            seen.append(descriptor)
            if what == "removed":
                path.unlink()
            else:
                (tmp_path / "other").write_text("")
                (tmp_path / "other").replace(path)
        return real(descriptor, how)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with own(path) as mine:
        assert seen
        assert os.path.samestat(os.fstat(mine.fileno()), path.stat())
        assert hold(path) is None


def test_the_second_waits_and_says_so_once(tmp_path):
    order, told = [], []

    def second():
        with my_turn(tmp_path / "deep" / "turn", lambda: told.append("waiting")):
            order.append("second")

    with my_turn(tmp_path / "deep" / "turn", lambda: told.append("never")):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.7)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert told == ["waiting"]


def test_nobody_waits_for_the_dead(tmp_path, other):
    child, _ = other(tmp_path / "turn")
    threading.Timer(0.5, child.kill).start()
    told = []
    with my_turn(tmp_path / "turn", lambda: told.append("waiting")):
        assert told == ["waiting"]


def test_who_shares_waits_only_for_whoever_has_it_alone(tmp_path):
    alone = own(tmp_path / "turn")
    threading.Timer(0.3, alone.close).start()
    began = time.monotonic()
    with wait_for(tmp_path / "turn", shared=True), wait_for(tmp_path / "turn", shared=True):
        assert 0.2 < time.monotonic() - began < 5


def test_a_place_that_cannot_be_made_is_a_named_error(tmp_path):
    (tmp_path / "file").write_text("")
    for ask in (hold, own, wait_for):
        with pytest.raises(StorageError):
            ask(tmp_path / "file" / "turn")


def refusing(monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_a_named_error_for_whoever_wants_one(tmp_path, monkeypatch, number):
    refusing(monkeypatch, number)
    path = tmp_path / "a.lock"
    for ask in (hold, own, wait_for):
        with pytest.raises(NoLocksError, match=r"a\.lock cannot be locked: its file system has no locks") as error:
            ask(path)
        assert os.strerror(number) in error.value.problem
        assert "mount" in error.value.remedy
    assert not owner_is_dead(path)  # nothing is known of it


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_is_held_is_not_taken_for_a_missing_one(tmp_path, monkeypatch, number):
    refusing(monkeypatch, number)
    assert hold(tmp_path / "a.lock") is None


def test_a_broken_disk_is_a_broken_disk(tmp_path, monkeypatch):
    refusing(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match="input/output"):
        hold(tmp_path / "a.lock")


def test_a_system_without_locks_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with pytest.raises(NoLocksError, match="work under WSL2"):
        hold(tmp_path / "a.lock")


def test_no_descriptor_is_left_open_by_a_refusal(tmp_path, monkeypatch):
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("only Linux tells the open descriptors")
    with own(tmp_path / "a.lock"):
        before = count()
        assert hold(tmp_path / "a.lock") is None
        refusing(monkeypatch, errno.ENOLCK)
        with pytest.raises(EraflowError):
            hold(tmp_path / "a.lock")
        assert count() == before
