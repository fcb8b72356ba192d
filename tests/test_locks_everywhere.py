"""Every user of a lock, on a file system without locks: the same named error, and what is optional is left out."""

import ast
import errno
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from eraflow.disk import locks
from eraflow.disk.locks import NoLocksError, owner_is_dead
from eraflow.machine.budget import Budget
from eraflow.numerai import download
from eraflow.numerai.sendlock import NUMERAI, only_sender
from eraflow.runs.inuse import idle, in_use
from eraflow.runs.rundir import locked
from eraflow.runs.scratch import scratch_folder
from eraflow.runs.sharedstages import SharedStages
from eraflow.sandbox.records import Records
from eraflow.tracking.mlflowlink import MlflowLink
from flows.command.doctor.examine_machine import home_finding
from flows.command.prefectserver.runningserver import noted_server
from models.boosters.bincache import BinCache
from models.boosters.binentry import BinEntry
from models.prediction.resumablefile import resumable_file
from models.search.deadtrials import Worker, do_again
from models.search.storage import open_storage

ROOT = Path(__file__).parent.parent
LAYERS = ("eraflow", "models", "tasks", "flows", "deployments")
ERRORS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP]


def entered(context):
    with context:
        raise AssertionError("it worked without a lock")


def turn_to_download(folder):
    return download._turn(SimpleNamespace(destination=folder / "live.parquet"))


USERS = {
    "a run's folder": lambda folder: entered(locked(folder / "run")),
    "a run at work": lambda folder: entered(in_use(folder)),
    "a cleaning": lambda folder: entered(idle(folder)),
    "a shared stage": lambda folder: entered(SharedStages(folder).held("signature", print)),
    "a shared stage that may go": lambda folder: SharedStages(folder).remove_if_free("signature"),
    "a temporary folder": lambda folder: entered(scratch_folder("eraflow-test-", folder)),
    "a lease of memory": lambda folder: Budget(folder, 4_000, lambda: 1e6).acquire(500, name="s", log=print, wait_s=0),
    "the folder of leases": lambda folder: entered(Budget(folder, 4_000).locked(wait=False)),
    "a download": lambda folder: entered(turn_to_download(folder)),
    "sending": lambda folder: entered(only_sender(folder, None, "model", 1, print)),
    "a sandbox": Records,
    "MLflow's tables": lambda folder: MlflowLink("sqlite:///m.db", turn=folder / "turn").call("search_runs"),
    "Prefect's address": lambda folder: entered(noted_server(folder, "http://127.0.0.1:4200")),
    "bins, waiting": lambda folder: BinEntry(folder, "a" * 8).hold(),
    "bins that may go": lambda folder: BinEntry(folder, "a" * 8).remove_if_free(),
    "a growing output": lambda folder: entered(resumable_file(folder / "out.csv", {}, b"id\n")),
    "the tables of a search": lambda folder: open_storage(None, folder, patience_seconds=5, when_stale=do_again),
    "a process of a search": Worker,
}


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(params=ERRORS, ids=errno.errorcode.get)
def no_locks(request, monkeypatch):
    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


@pytest.mark.parametrize("user", USERS)
def test_without_locks_it_ends_in_the_same_named_error_and_leaves_nothing_open(tmp_path, no_locks, user):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(NoLocksError, match="its file system has no locks") as error:
        USERS[user](folder)
    assert error.value.code == "no_locks"
    assert "disk of this computer" in error.value.remedy
    assert "another" not in error.value.problem
    assert not [path for path in folder.iterdir() if path.name.startswith("eraflow-test-")]


def test_bins_are_then_used_and_not_kept(tmp_path, no_locks, caplog):
    file = SimpleNamespace(make=lambda path: ("made", path), expected_bytes=1, refusals=())
    with caplog.at_level(logging.WARNING):
        assert BinCache(tmp_path, "rows", 100).get({}, file) == ("made", None)
    assert "has no locks" in caplog.text


def test_a_users_own_folder_without_locks_leaves_the_lock_of_the_home_and_is_told(tmp_path, monkeypatch):
    real, said = locks.fcntl.flock, []

    def flock(descriptor, how):
        if str(tmp_path / "state") in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        real(descriptor, how)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("only Linux tells what is open")
    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with only_sender(tmp_path / "home", NUMERAI, "model", 1, said.append):
        (path,) = (tmp_path / "home" / "sending").iterdir()
        assert not owner_is_dead(path)
    assert len(said) == 1
    assert "only runs of this home wait for each other" in said[0]


def test_doctor_finds_it_before_any_run(tmp_path, no_locks):
    check = home_finding(tmp_path)
    assert (check.state, "has no locks" in check.found) == ("failed", True)


def test_nothing_but_the_module_of_locks_asks_the_kernel_for_one():
    asking = []
    for path in (file for layer in LAYERS for file in (ROOT / layer).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [node.attr] if isinstance(node, ast.Attribute) else []
            if {"fcntl", "flock", "lockf", "filelock", "msvcrt"} & set(names):
                asking.append(path.relative_to(ROOT).as_posix())
    assert set(asking) == {"eraflow/disk/locks.py"}
