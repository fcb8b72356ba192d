"""Which trials have lost their process, and what is done with them.

A trial's process holds a lock on a file for as long as it lives; the kernel drops the lock with its owner, so a process
of this computer that was killed is known to be dead at once. Of other computers only the heartbeat in the storage
tells, after `search.patience_minutes`. Optuna's own heartbeat misses a trial that died before its first beat: that one
is found here by its age.
"""

from __future__ import annotations

import socket
import uuid
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from eraflow.disk.locks import own, owner_is_dead

OWNER, FOUND = "owner", "found"
"""Attributes of a trial: whose it is, and what it showed."""
GIVEN_UP = "given up"
ORPHAN_SECONDS = 10.0
"""A trial gets its owner's mark within milliseconds of its beginning; one that has none for so long has no owner."""
MOST_RETRIES = 3
"""A trial that takes its process with it so often is the cause, and is written off as a bad one."""


class Worker:
    """This process, as the others of this computer see it.

    Args:
        folder: where the locks lie; shared by all searches of a home.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{uuid.uuid4().hex}.lock"
        self._handle = own(self._path)

    @property
    def mark(self) -> dict[str, str]:
        """What is written into the trials it works on."""
        return {"host": socket.gethostname(), "lock": str(self._path)}

    def is_alone(self) -> bool:
        """Whether no other process that shares these locks is alive; False where that cannot be known."""
        others = (path for path in self._path.parent.glob("*.lock") if path != self._path)
        return all(is_dead({**self.mark, "lock": str(path)}) for path in others)

    def close(self) -> None:
        """Take the lock away."""
        self._path.unlink(missing_ok=True)
        self._handle.close()


def is_dead(mark: Any) -> bool:
    """Whether the process that wrote `mark` is known to be dead; False where it cannot be known from here."""
    if not isinstance(mark, dict) or mark.get("host") != socket.gethostname():
        return False
    # No file: another container's folder, or taken away by its owner, who was alive then.
    return owner_is_dead(mark["lock"])


def close_dead_trials(study: Study, patience_seconds: float, worker: Worker | None = None) -> int:
    """Put every running trial whose process is known to be dead back into the queue; returns how many.

    Args:
        study: the study.
        patience_seconds: until a silent trial is taken for dead.
        worker: of the caller, when only processes with locks beside its own can use this storage. A trial without an
            owner's mark is then known to be dead at once where the caller is alone, as a process has its lock before
            it begins a trial.
    """
    buried = 0
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    alone = worker is not None and any(OWNER not in trial.user_attrs for trial in running) and worker.is_alone()
    for trial in running:
        mark = trial.user_attrs.get(OWNER)
        old = _age(trial) > timedelta(seconds=min(patience_seconds, ORPHAN_SECONDS))
        orphan = mark is None and (alone or old)
        if not (orphan or is_dead(mark)):
            continue
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except (UpdateFinishedTrialError, ValueError):  # another process was quicker: just now, or some time ago
            continue
        do_again(study, trial)
        buried += 1
    return buried


def do_again(study: Study, trial: FrozenTrial) -> None:
    """Queue a trial that lost its process once more; write it off as given up when that happened too often."""
    kept = {name: value for name, value in trial.user_attrs.items() if name != OWNER}  # its next owner is alive
    if len(RetryHeartbeatStaleTrialCallback.retry_history(trial)) < MOST_RETRIES:
        again = copy(trial)
        again.user_attrs = kept
        RetryHeartbeatStaleTrialCallback()(study, again)
        return
    study.add_trial(
        optuna.create_trial(
            state=TrialState.PRUNED,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**kept, FOUND: {"note": f"{GIVEN_UP}: it took its process with it {MOST_RETRIES + 1} times"}},
        )
    )


def _age(trial: FrozenTrial) -> timedelta:
    return timedelta(0) if trial.datetime_start is None else datetime.now() - trial.datetime_start
