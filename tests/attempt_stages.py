"""Stages for the tests of one attempt; run in a child."""

import os
import signal
import time
from dataclasses import dataclass

import numpy as np

from eraflow.machine.job import How, stage_function


@dataclass(frozen=True)
class Job:
    """`other` decides; the rest is how."""

    other: int = 0
    bytes_a_row: How[int] = 0
    times: How[int] = 0
    seconds: How[float] = 60.0


@stage_function(Job)
def needs_memory(job, out, plan):
    """Memory in proportion to the rows held at once, twice that unless asked to be lean; the result is the same."""
    held = plan.rows_in_memory * (1 if plan.low_memory else 2)
    block = np.ones((held, job.bytes_a_row), dtype=np.int8)
    time.sleep(0.4)  # real work holds its memory for longer than the watchdog looks away
    (out / "result.txt").write_text("the same result")
    return {"held": held, "sum": int(block[:, 0].sum() > 0)}


@stage_function(Job)
def dies_until(job, out, plan):
    """Killed from outside for the first `job.times` attempts, as by the kernel."""
    counter = out / "attempts"
    done = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(done + 1))
    if done < job.times:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempts": done + 1}


@stage_function(Job)
def refuses(job, out, plan):
    from eraflow.errors import SettingsError

    raise SettingsError("it cannot be so", "make it otherwise")


@stage_function(Job)
def dawdles(job, out, plan):
    """Does nothing for a while."""
    time.sleep(job.seconds)
    return {}
