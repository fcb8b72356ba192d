"""Ctrl-C ends a command that waits, though polars has been loaded since it began to heed signals."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from flows.command.terminal.interrupts import heed_ctrl_c

BEFORE = (
    "import polars, subprocess, sys, threading; from flows.command.terminal.interrupts import heed_ctrl_c; "
    "heed_ctrl_c();"
)
WAITS = {
    "a server": "subprocess.Popen(['sleep', '20'], stdout=-3, stderr=-3).wait()",  # -3: the null device
    "an event": "threading.Event().wait()",
    "an answer": "input('slot: ')",
}


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_a_wait(wait):
    code = f"{BEFORE} print('now', flush=True); {WAITS[wait]}"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert child.stdout.readline() == "now\n"
        time.sleep(0.3)
        os.kill(child.pid, signal.SIGINT)
        assert "KeyboardInterrupt" in child.communicate(timeout=10)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def test_outside_the_main_thread_it_does_nothing_and_says_nothing():
    heed_ctrl_c()
