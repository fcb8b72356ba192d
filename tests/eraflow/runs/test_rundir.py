"""One process at a time in a run folder."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from eraflow.disk.locks import own
from eraflow.runs.rundir import LOCK, RunLockedError, locked, new_run_dir


def test_a_second_holder_is_refused_and_a_later_one_is_not(tmp_path):
    with locked(tmp_path / "run"), pytest.raises(RunLockedError, match="run_locked"), locked(tmp_path / "run"):
        pass
    with locked(tmp_path / "run"):
        pass


def test_a_killed_owner_leaves_no_lock(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from eraflow.runs.rundir import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert killed.returncode == -9
    with locked(tmp_path / "run"):
        pass


def test_one_who_only_asks_whether_the_owner_is_dead_keeps_nobody_out(tmp_path, monkeypatch):
    """The question holds the lock for a moment."""
    asking = own(tmp_path / "run" / LOCK)
    monkeypatch.setattr("eraflow.runs.rundir.time.sleep", lambda seconds: asking.close())
    with locked(tmp_path / "run"):
        assert asking.closed


def test_names_of_runs_do_not_collide(tmp_path):
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    first = new_run_dir(tmp_path, "weekly", now)
    first.mkdir(parents=True)
    assert new_run_dir(tmp_path, "weekly", now) != first
