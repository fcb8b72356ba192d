"""Stages for the tests of one attempt; run in a child."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def needs_memory(*, out, plan, bytes_a_row):
    """Memory in proportion to the rows held at once, twice that unless asked to be lean; the result is the same."""
    held = plan["rows_in_memory"] * (1 if plan["low_memory"] else 2)
    block = np.ones((held, bytes_a_row), dtype=np.int8)
    time.sleep(0.4)  # real work holds its memory for longer than the watchdog looks away
    (Path(out) / "result.txt").write_text("the same result")
    return {"held": held, "sum": int(block[:, 0].sum() > 0)}


def dies_until(*, out, plan, times):
    """Killed from outside for the first `times` attempts, as by the kernel."""
    counter = Path(out) / "attempts"
    done = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(done + 1))
    if done < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempts": done + 1}


def refuses(*, out, plan):
    from eraflow.errors import SettingsError

    raise SettingsError("it cannot be so", "make it otherwise")


def dawdles(*, out, plan, seconds=60.0):
    """Does nothing for a while."""
    time.sleep(seconds)
    return {}
