"""One MLflow home for all tests of tracking and registry: making its tables takes seconds."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.tracking import DATABASE, Tracker

# In a process of its own, so that nothing is imported yet; TABLES is the database before the first run.
FIRST_USE = """
import shutil, socket, sys, threading
from pathlib import Path
called = []
socket.socket.connect = lambda self, address: called.append(address)
socket.getaddrinfo = lambda host, *rest, **options: called.append(host) or []
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.tracking import Tracker

home, tables = Path(sys.argv[1]), Path(sys.argv[2])
tracker = Tracker(home, TrackingSettings())
assert "mlflow" not in sys.modules, "mlflow is imported too early"
tracker.link.call("search_experiments")
shutil.copyfile(home / "mlflow.db", tables)
with tracker.run("m") as run:
    run.log_metrics({"a": 1.0})
    run.log_files(tables)
tracker.link.call("download_artifacts", run.run_id, tables.name, str(tables.parent))
assert not called, called
names = [thread.name for thread in threading.enumerate()]
assert not any("elemetry" in name for name in names), names
"""


@dataclass(frozen=True)
class FreshHome:
    """A home after its first use by a fresh process, and what that process said."""

    home: Path
    tables: Path
    done: subprocess.CompletedProcess


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory):
    home, tables = tmp_path_factory.mktemp("mlflow") / "new home", tmp_path_factory.mktemp("tables") / "tables.db"
    # Without the signs of a test or CI machine, which switch MLflow's telemetry off by themselves.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tables.parent)}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE, str(home), str(tables)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    return FreshHome(home, tables, done)


@pytest.fixture
def tracker(fresh_home, tmp_path):
    """A tracker on a database that has its tables and nothing else."""
    assert fresh_home.tables.exists(), fresh_home.done.stderr
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(fresh_home.tables, home / DATABASE)
    return Tracker(home, TrackingSettings())
