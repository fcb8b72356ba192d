"""A shortage that passes is waited for; one that stays is named by what is short."""

import subprocess
import sys

import pytest

from eraflow.machine.resources import NotEnoughMemoryError
from eraflow.machine.shortage import shortage, wait_out


def wait(looks, wait_s=120.0):
    lines, slept = [], []
    left = iter(looks)
    wait_out(300, 2, name="train", log=lines.append, wait_s=wait_s, look=lambda *_: next(left, ""), sleep=slept.append)
    return lines, sum(slept)


def test_nothing_is_said_where_nothing_is_short():
    assert wait([]) == ([], 0)


def test_a_passing_shortage_is_told_once_a_minute_and_waited_for():
    lines, slept = wait(["1 of 10 threads could be started"] * 61)
    assert slept == 61
    assert len(lines) == 2
    assert "train waits for memory or threads that other programs hold: 1 of 10 threads" in lines[0]


def test_a_lasting_one_ends_with_its_name_and_what_to_do():
    with pytest.raises(NotEnoughMemoryError, match=r"train cannot begin.*1 of 10.*after 5 s.*machine\.wait_minutes"):
        wait(["1 of 10 threads could be started"] * 99, wait_s=5)


def test_this_computer_is_not_short():
    assert shortage(300, 2) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space")
def test_a_limit_of_the_system_is_met_without_dying_of_it():
    code = """
import resource
from eraflow.machine.shortage import shortage
used = 1 << 10
for line in open("/proc/self/status"):
    if line.startswith("VmSize"):
        used *= int(line.split()[1])
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), -1))
print(shortage(1, 1) or "enough")
print(shortage(600, 2))
print(shortage(1, 200))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    enough, memory, threads = done.stdout.splitlines()
    assert "600 MiB cannot be reserved" in memory
    assert "of 208 threads could be started" in threads
    assert enough == "enough"
