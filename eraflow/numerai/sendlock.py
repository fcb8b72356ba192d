"""One sender at a time for each model slot and round, so that two runs at once send once.

The lock spans everything from reading what is filed already to knowing that the own submission is accepted. It is the
kernel's, so a killed sender leaves none. It lies in the home folder, where every sender of this home sees it, whatever
its environment (a timer has another one than a shell). What goes to an address, Numerai's or that of a sandbox that
already runs, is locked for all home folders of a user, too, in the folder where programs keep that user's state; where
that folder cannot be locked, one goes on with the lock of the home, and says so.
Another computer cannot be locked out: what it sent is seen in the tournament's own list.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from eraflow.disk.digest import value_sha256
from eraflow.disk.home import user_folder
from eraflow.disk.locks import NoLocksError, my_turn

NUMERAI = "numerai"
_FORGOTTEN_SECONDS = 30 * 86_400.0  # a round is open for days


@contextmanager
def only_sender(
    home: Path, address: str | None, model_id: str, round_number: int, log: Callable[[str], None]
) -> Iterator[None]:
    """Hold the right to send for a slot and round; waits for whoever holds it, and says so.

    Args:
        home: the home folder of this run.
        address: where it goes: `NUMERAI`, the address of a sandbox, or None for the run's own sandbox.
        model_id: id of the slot.
        round_number: the round.
        log: takes a line of text.

    Raises:
        StorageError, NoLocksError: the home's lock file cannot be made or locked.
    """
    said = threading.Event()

    def say() -> None:
        if not said.is_set():
            log(f"another run is sending for this slot in round {round_number}; waiting until it has ended")
        said.set()

    with ExitStack() as held:
        own, *users = lock_paths(home, address, model_id, round_number)
        _forget_old(own)
        held.enter_context(my_turn(own, say))
        for path in users:
            _forget_old(path)
            try:
                held.enter_context(my_turn(path, say))
            except NoLocksError as error:
                log(f"only runs of this home wait for each other to send: {error.problem}")
        yield


def lock_paths(home: Path, address: str | None, model_id: str, round_number: int) -> list[Path]:
    """The files that are locked, in this order: that of the home folder, then that of the user, if there is one."""
    slot = value_sha256([_plain(address), model_id])[:16]
    user = None if address is None else _users_folder()
    return [folder / f"{slot}-{round_number}.lock" for folder in (home / "sending", user) if folder is not None]


def _plain(address: str | None) -> str:
    """One name for one place."""
    return (address or "").rstrip("/").replace("//localhost", "//127.0.0.1", 1)


def _users_folder() -> Path | None:
    """None for a service without a folder of its user: then one home is all that can be known."""
    named = os.environ.get("XDG_STATE_HOME", "")
    user = user_folder()
    places = [Path(named)] if named.startswith("/") else [user / ".local" / "state"] if user else []
    for place in places:
        folder = place / "eraflow" / "sending"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.access(folder, os.W_OK):
                return folder
    return None


def _forget_old(path: Path) -> None:
    """Remove the files of rounds that are over for long; nobody can still wait for one of them."""
    with suppress(OSError):
        for other in path.parent.glob("*.lock"):
            if other != path and time.time() - other.stat().st_mtime > _FORGOTTEN_SECONDS:
                other.unlink(missing_ok=True)
