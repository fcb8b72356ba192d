"""One at a time: the second waits, says so once, and never waits for the dead."""

import subprocess
import sys
import threading
import time

import pytest

from eraflow.disk.turns import my_turn
from eraflow.errors import EraflowError

HOLD = """
import sys, time
from pathlib import Path
from eraflow.disk.turns import my_turn
with my_turn(Path(sys.argv[1]), lambda: None):
    print("mine", flush=True)
    time.sleep(60)
"""


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


def test_nobody_waits_for_the_dead(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "turn"], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"mine\n"
    threading.Timer(0.5, child.kill).start()
    told = []
    with my_turn(tmp_path / "turn", lambda: told.append("waiting")):
        assert told == ["waiting"]
    child.wait(10)
    child.stdout.close()


def test_a_place_that_cannot_be_made_is_a_named_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EraflowError, match="storage"), my_turn(tmp_path / "file" / "turn", lambda: None):
        pass
