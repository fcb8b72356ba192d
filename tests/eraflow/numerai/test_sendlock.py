"""One sender at a time for a slot and round, whatever home it works in and however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eraflow.numerai.client import Tournament
from eraflow.numerai.graphql import Endpoint
from eraflow.numerai.sendlock import NUMERAI, lock_paths, only_sender
from tests.eraflow.numerai.stubserver import PUBLIC, SECRET, FakeTime, Stub, stub_server

HOLDER = """
import sys, time
from pathlib import Path
from eraflow.numerai.sendlock import only_sender
with only_sender(Path(sys.argv[1]), sys.argv[2], "model-1", 1404, print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, in another home of the same user, that is sending to Numerai."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "other home"), NUMERAI]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def test_a_killed_sender_leaves_no_lock_and_the_one_that_waits_says_so(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    said: list[str] = []
    threading.Timer(0.6, os.kill, (holder.pid, signal.SIGKILL)).start()
    began = time.monotonic()
    with only_sender(tmp_path / "home", NUMERAI, "model-1", 1404, said.append):
        assert 0.4 < time.monotonic() - began < 20
    assert said == ["another run is sending for this slot in round 1404; waiting until it has ended"]


def test_other_slots_and_rounds_do_not_wait(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    said: list[str] = []
    for model, number in (("model-2", 1404), ("model-1", 1405)):
        with only_sender(tmp_path / "home", NUMERAI, model, number, said.append):
            pass
    assert not said


def test_an_address_is_locked_for_all_homes_of_the_user_and_an_own_sandbox_within_its_home(
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert not {*lock_paths(one, None, "m", 1)} & {*lock_paths(two, None, "m", 1)}
    assert lock_paths(one, NUMERAI, "m", 1)[1:] == lock_paths(two, NUMERAI, "m", 1)[1:]
    names = ("http://127.0.0.1:8765", "http://127.0.0.1:8765/", "http://localhost:8765")
    assert len({lock_paths(home, name, "m", 1)[1] for home in (one, two) for name in names}) == 1


@pytest.mark.parametrize("theirs", ["another state folder", "no folder that can be written"])
def test_a_timer_with_another_environment_waits_for_a_shell_of_the_same_home(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "home"), NUMERAI]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
        if theirs != "another state folder":
            (tmp_path / "elsewhere").write_text("")
            monkeypatch.setattr("eraflow.numerai.sendlock.user_folder", lambda: None)
        said: list[str] = []
        threading.Timer(0.6, child.kill).start()
        with only_sender(tmp_path / "home", NUMERAI, "model-1", 1404, said.append):
            assert len(said) == 1


@pytest.mark.parametrize("why", ["a file", "not writable"])
def test_a_user_without_a_folder_for_it_is_served_within_the_home(tmp_path: Path, state: Path, why: str) -> None:
    if why == "a file":
        state.write_text("")
    else:
        (state / "eraflow").parent.mkdir()
        (state / "eraflow").write_text("")
    with only_sender(tmp_path / "home", NUMERAI, "m", 1, print):
        assert lock_paths(tmp_path / "home", NUMERAI, "m", 1)[0].is_relative_to(tmp_path / "home")


def test_files_of_rounds_that_are_long_over_are_removed(tmp_path: Path) -> None:
    old, young = (lock_paths(tmp_path, None, "m", number)[0] for number in (1, 2))
    old.parent.mkdir(parents=True)
    for path in (old, young):
        path.write_text("")
    os.utime(old, (0, 0))
    with only_sender(tmp_path, None, "m", 3, print):
        assert {path.name for path in old.parent.iterdir()} == {young.name, lock_paths(tmp_path, None, "m", 3)[0].name}


def test_of_six_runs_at_once_one_sends_and_the_others_see_it(tmp_path: Path) -> None:
    with stub_server() as stub:
        states = _six(stub, tmp_path)
    assert len(stub.submissions) == stub.asked["PUT"] == 1
    assert sorted(ours for _, ours in states) == [False] * 5 + [True]
    assert {identifier for identifier, _ in states} == {"sub-1"}


def _six(stub: Stub, folder: Path) -> list[tuple[str, bool]]:
    """Six runs with predictions of their own, for one slot and round."""
    states: list[tuple[str, bool]] = []

    def run(number: int) -> None:
        csv = folder / f"{number}.csv"
        csv.write_bytes(f"id,prediction\nn1,0.2500000000\nn2,0.75000000{number:02}\n".encode())
        clock = FakeTime()
        client = Tournament(Endpoint(stub.url, PUBLIC, SECRET), sleep=clock.sleep, clock=clock.clock)
        with only_sender(folder / "home", None, "model-1", 1404, print):
            state = client.submit(csv, "model-1", 1404, 60)
        states.append((state.id, state.ours))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return states
