"""One memory budget for all stages that share a folder: each holds a lease, and the kernel frees it with its owner.

A lease is a small file whose lock its owner holds. What it says is kept for the stage; beyond that a stage may
grow into whatever nobody else has been promised, so one that is alone has all of it. Who dies, however, loses the
lock, and the next one that looks removes the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import my_turn, own, take
from eraflow.errors import EraflowError
from eraflow.machine.awake import awake
from eraflow.machine.processtree import descendants, usage
from eraflow.machine.resources import (
    MIN_MEMORY_MB,
    SHARE_OF_FREE,
    NotEnoughMemoryError,
    free_memory_mb,
    total_memory_mb,
)

FOLDER = ".budget"
RECORD_BYTES = 512  # of one width, so that a full disk cannot refuse a change
LOOK_SECONDS = 2.0
CLOSE_LOOK_SECONDS = 0.25  # by a stage that would like to grow
WAIT_SECONDS = 0.5
TURN_SECONDS = 0.02
"""Between two tries to lock the folder, which nobody holds for longer than it takes to read the leases."""
TELL_SECONDS = 60.0
ALONE_SECONDS = 60.0
"""How long one waits for other programs although one could begin with a smaller plan."""
GROWTH = 1.25
"""A stage that comes near what it holds takes this factor of its use, so that it does not ask at every step."""


class BudgetBusyError(EraflowError):
    """Other stages hold the memory, and did not give it back in time."""

    code = "budget_busy"


@dataclass(frozen=True)
class Holder:
    """What another lease says: whose it is and what it holds, MiB."""

    pid: int
    name: str
    held_mb: float


class Budget:
    """The memory of all stages that share `folder`.

    Args:
        folder: where the leases lie; the same for all that share.
        total_mb: what they may have together, MiB; None: what the computer has free.
        free_mb: tells what the computer or its container has free now, MiB.
    """

    def __init__(self, folder: Path, total_mb: float | None, free_mb: Callable[[], float] = free_memory_mb) -> None:
        self.folder, self.total_mb, self._free_mb = folder, total_mb, free_mb

    def acquire(self, at_least_mb: float, *, name: str, log: Callable[[str], None], wait_s: float = 3600.0) -> Lease:
        """A lease of `at_least_mb`; waits for it while others hold the memory. Alone, one gets what there is.

        Other programs of the computer are waited for too: for 300 MiB to the end of the wait, for all of `at_least_mb`
        a minute.

        Raises:
            NotEnoughMemoryError: nobody else holds anything, and less than 300 MiB were free to the end of the wait.
            BudgetBusyError: others held it until the end of the wait.
            StorageError, NoLocksError: the folder cannot be written or locked.
        """
        least = max(at_least_mb, MIN_MEMORY_MB)
        if self.total_mb is not None:
            least = min(least, self.total_mb)
        most = SHARE_OF_FREE * total_memory_mb()
        alone_s = min(wait_s, ALONE_SECONDS) if least <= most else 0.0
        began, told = awake(), float("-inf")
        while True:
            waited = awake() - began
            with self.locked():
                others = self.holders()
                room = self.room_mb(others, own=None, used_mb=0.0)
                # Alone one begins with less; but what another program takes for a moment only is waited for.
                alone = not others and room >= MIN_MEMORY_MB and waited >= alone_s
                if room >= least or alone:
                    return Lease(self, name, min(least, room), room)
            if waited >= wait_s or (not others and most < MIN_MEMORY_MB):
                raise _busy(name, least, room, others, waited) if others else self._too_little(room, waited)
            if waited - told >= TELL_SECONDS:
                told = waited
                log(f"{name} waits for {least:.0f} MiB of memory, {max(room, 0.0):.0f} are free of promises; "
                    + (_named(others) if others else "other programs of this computer hold the rest"))  # fmt: skip
            time.sleep(min(WAIT_SECONDS, max(wait_s - waited, 0.0)))

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the folder for a moment.

        Raises:
            BlockingIOError: somebody else does, and `wait` is False.
            StorageError, NoLocksError: the folder cannot be written or locked.
        """
        path = self.folder / ".lock"
        with my_turn(path, poll_seconds=TURN_SECONDS) if wait else own(path):
            yield

    def holders(self, own: Path | None = None) -> list[Holder]:
        """The living leases but `own`; those of the dead are removed. To be called with the folder locked."""
        found = (_read(path) for path in sorted(self.folder.glob("lease-*.json")) if path != own)
        return [holder for holder in found if holder is not None]

    def room_mb(self, others: list[Holder], own: Lease | None, used_mb: float) -> float:
        """What one stage may use in all: the total less what others hold, and never more than is really free."""
        free = self._free_mb() * SHARE_OF_FREE + used_mb - _unused_mb(others, used_mb if own is not None else 0.0)
        promised = sum(holder.held_mb for holder in others)
        return free if self.total_mb is None else min(free, self.total_mb - promised)

    def _too_little(self, room: float, waited: float) -> NotEnoughMemoryError:
        return NotEnoughMemoryError(
            f"{max(room, 0.0):.0f} MiB may be used by a stage, and it needs at least {MIN_MEMORY_MB} MiB"
            + (f", still after {waited:.0f} s of waiting" if waited else ""),
            "close other programs, raise the memory limit of the container or service, or machine.memory_mb; "
            "machine.wait_minutes tells how long is waited",
        )


class Lease:
    """What one stage holds of a budget. Made by `Budget.acquire`; a context manager that gives it back.

    Attributes:
        held_mb: promised to this stage, MiB.
        limit_mb: what it may use as things stand, MiB; more than it holds while nobody else has been promised it.
    """

    def __init__(self, budget: Budget, name: str, held_mb: float, limit_mb: float) -> None:
        self._budget, self._name = budget, name
        self.held_mb, self.limit_mb = held_mb, limit_mb
        self._looked = time.monotonic()
        self._guard = threading.Lock()  # the watchdog's thread asks, the waiting thread gives back
        self._path = budget.folder / f"lease-{os.getpid()}-{uuid.uuid4().hex[:12]}.json"
        self._handle = own(self._path)
        self._write()

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give it back."""
        with self._guard:
            self._path.unlink(missing_ok=True)
            self._handle.close()

    def reserve(self, wanted_mb: float) -> float:
        """Hold `wanted_mb`, or as much of it as there is, at least what is held already or 300 MiB; gives that."""
        with self._guard, self._budget.locked():
            self._refresh(0.0)
            self.held_mb = min(max(wanted_mb, MIN_MEMORY_MB), max(self.limit_mb, self.held_mb))
            self._write()
        return self.held_mb

    def ceiling_mb(self, used_mb: float) -> float:
        """What the stage may use now, MiB. It looks at the others every two seconds, and when it outgrows its own."""
        outgrown = used_mb * (1 + (GROWTH - 1) / 2) > self.held_mb
        if self._is_due(used_mb, outgrown=outgrown) and not self._handle.closed:
            # Never waits and never fails: this is the thread that watches the memory. It asks again soon.
            refusals = (EraflowError, OSError)
            with self._guard, contextlib.suppress(*refusals), self._budget.locked(wait=False):
                self._refresh(used_mb)
                if outgrown:
                    self.held_mb = max(self.held_mb, min(used_mb * GROWTH, self.limit_mb))
                    self._write()
        return self.limit_mb

    def _is_due(self, used_mb: float, *, outgrown: bool) -> bool:
        """At once when there is something to gain or to lose; else now and then."""
        if used_mb > self.limit_mb or (outgrown and self.held_mb < self.limit_mb):
            return True
        return time.monotonic() - self._looked >= (CLOSE_LOOK_SECONDS if outgrown else LOOK_SECONDS)

    def _refresh(self, used_mb: float) -> None:
        others = self._budget.holders(self._path)
        self.limit_mb = max(self._budget.room_mb(others, self, used_mb), self.held_mb)
        self._looked = time.monotonic()

    def _write(self) -> None:
        record = {"pid": os.getpid(), "name": self._name, "held_mb": self.held_mb}
        with storage_errors(self._path):
            self._handle.seek(0)
            self._handle.write(json.dumps(record)[: RECORD_BYTES - 1].encode().ljust(RECORD_BYTES))


def _read(path: Path) -> Holder | None:
    """A lease, or None when its owner is dead; then the file goes."""
    try:
        handle = path.open("r+b")
    except OSError:  # given back meanwhile
        return None
    with handle:
        if take(handle):
            path.unlink(missing_ok=True)
            return None
        try:
            values: dict[str, Any] = json.loads(handle.read())
            return Holder(int(values["pid"]), str(values["name"]), float(values["held_mb"]))
        except (ValueError, KeyError, TypeError):  # the machine died while it was written; whoever holds it, unknown
            return Holder(0, path.name, float(MIN_MEMORY_MB))


def _unused_mb(others: list[Holder], own_used_mb: float) -> float:
    """Memory that is promised to others and not taken yet: it looks free, and is not."""
    unused = 0.0
    for pid in {holder.pid for holder in others}:
        held = sum(holder.held_mb for holder in others if holder.pid == pid)
        used = usage(list(descendants(pid) - {pid})).memory_mb if pid > 0 else 0.0
        # The stages of one flow share its number; what this stage uses is not theirs.
        unused += max(held - max(used - (own_used_mb if pid == os.getpid() else 0.0), 0.0), 0.0)
    return unused


def _named(others: list[Holder]) -> str:
    return "held: " + ", ".join(f"{holder.name} {holder.held_mb:.0f} MiB (process {holder.pid})" for holder in others)


def _busy(name: str, least: float, room: float, others: list[Holder], waited: float) -> BudgetBusyError:
    return BudgetBusyError(
        f"{name} needs {least:.0f} MiB, {max(room, 0):.0f} MiB are not promised to others after {waited:.0f} s of "
        f"waiting; {_named(others)}",
        "wait until those stages have ended and run again, raise machine.memory_mb if this computer has more, or raise "
        "machine.wait_minutes",
    )
