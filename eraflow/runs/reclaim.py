"""What of a home folder may be removed: never what is referenced or at work. `cleaningplan.py` chooses what goes.

A piece is one thing that goes as a whole. It goes under the kernel's lock of its owner and is renamed first, so a run
that is at work is never touched and a killed cleaning leaves nothing that looks whole.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eraflow.disk.jsonobject import read_object
from eraflow.disk.ownership import RUN_FILE, is_run_dir
from eraflow.errors import EraflowError
from eraflow.runs.conclusion import OPEN_TO_SUBMIT, conclusion
from eraflow.runs.inuse import idle
from eraflow.runs.rundir import RunLockedError, locked
from eraflow.runs.sharedstages import SharedStages
from eraflow.runs.stage import read_manifest
from eraflow.runs.unfinished import MAX_AGE_DAYS, SETTINGS

ERAS = "cache/eras"
"""Where the era stores of a home are kept, each once."""
BASES = "cache/bases"
"""Where the bases of networks are kept, each a folder."""
FOLDS = "cache/folds"
"""Where finished folds are kept from week to week, each a folder."""
REHEARSALS = "cache/rehearsal"
"""Where the environments of rehearsals are kept, each a folder of some 1.9 GB."""
REPRODUCTIONS = "reproductions"
"""Where runs are built again, each in a home of its own."""
REMOVED = ".removed-"
AT_WORK, UNFINISHED = "at work", "unfinished: --resume goes on with it"
REFERENCED = "a registered model or a search points to it"
DAY = 86_400.0
COPY = "copy of a champion"
SERVED = "served"
"""The state of `eraflow sandbox serve`, which is no run."""
SMALL = frozenset({"layout.json"})
"""Of an era store: what stays in a finished run, because predictions with one of its models read the names there."""


@dataclass(frozen=True)
class Removable:
    """Something that may go as a whole.

    Attributes:
        kind: for people.
        path: where it lies, or the most of it.
        files: what of it takes space.
        used_at: when it was used last, seconds since the epoch.
        remove: removes it unless somebody holds it; whether it went.
        bulk: it can be made or fetched again.
    """

    kind: str
    path: Path
    files: tuple[Path, ...]
    used_at: float
    remove: Callable[[], bool]
    bulk: bool = True


def kept_runs(home: Path, referenced: Collection[str], now: float) -> dict[Path, str]:
    """The runs that stay whatever their age, each with the reason.

    Args:
        home: the home folder.
        referenced: names of run folders that something else points to, such as a registered model.
        now: seconds since the epoch.
    """
    kept: dict[Path, str] = {}
    newest: dict[tuple[str, str], Path] = {}
    for run in sorted(_runs(home), key=used_at, reverse=True):
        ended, age = conclusion(run), (now - used_at(run)) / DAY
        flow = str((read_object(run / RUN_FILE) or {}).get("flow", "weekly"))
        if ended is not None:
            newest.setdefault((flow, ended), run)
        if _is_held(run):
            kept[run] = AT_WORK
        elif ended is None and (run / SETTINGS).exists() and age < MAX_AGE_DAYS:
            kept[run] = UNFINISHED
        elif ended in OPEN_TO_SUBMIT and age < MAX_AGE_DAYS:
            kept[run] = "not sent, and its round may still be open"
        elif run in newest.values():
            kept[run] = "the newest that ended so"
        elif run.name in referenced:  # last: whoever is only referenced may lose its era store
            kept[run] = REFERENCED
    return kept


def run_pieces(home: Path, kept: Mapping[Path, str]) -> list[Removable]:
    """Finished runs, whole."""
    return [
        Removable("run", run, tuple(_files(run)), used_at(run), _remover(run, run), bulk=False)
        for run in _runs(home)
        if run not in kept
    ]


def store_pieces(home: Path, kept: Mapping[Path, str]) -> list[Removable]:
    """Era stores that no run at work, unfinished or newest uses: the kept copy, and its names in finished runs."""
    users: dict[str, list[Path]] = {}
    for run in _runs(home):
        record = read_manifest(run / "features")
        if record is not None and _bulk_of_store(run):
            users.setdefault(record.signature, []).append(run)
    shared = SharedStages(home / ERAS)
    # A run's own store is needed while it may go on, or is what people look at now; a reference is to its models.
    needed = {run for run, why in kept.items() if why != REFERENCED}
    names = set(users) | {path.name for path in shared.folder.glob("*/")}
    return [
        _store_piece(shared, name, users.get(name, ()))
        for name in sorted(names)
        if not name.startswith(".") and not needed & set(users.get(name, ()))
    ]


def _store_piece(shared: SharedStages, name: str, runs: Iterable[Path]) -> Removable:
    entry, runs = shared.entry(name), list(runs)
    files = [*_files(entry), *(path for run in runs for path in _bulk_of_store(run))]

    def remove() -> bool:
        if not shared.remove_if_free(name):
            return False
        for run in runs:
            with suppress(RunLockedError), locked(run):
                for path in _bulk_of_store(run):
                    path.unlink(missing_ok=True)
        return True

    last = max([used_at(entry), *(used_at(run) for run in runs)])
    return Removable("era store", entry if entry.exists() else runs[0] / "features", tuple(files), last, remove)


def folder_pieces(home: Path) -> list[Removable]:
    """Downloads by source and version, what sandboxes have generated, copies of former champions, bases of networks,
    finished folds, environments of rehearsals, whole or given up.

    They go only while no run is at work in this home.
    """
    found = [("download", home.glob("data/*/*/")), ("sandbox", home.glob("sandbox/*/"))]
    found += [(COPY, home.glob("champion/*/")), ("base of a network", home.glob(f"{BASES}/*/"))]
    found += [("finished fold", home.glob(f"{FOLDS}/*/")), ("environment", home.glob(f"{REHEARSALS}/*/"))]
    return [
        Removable(kind, path, tuple(_files(path)), max(map(_mtime, [path, *_files(path)])), _when_idle(home, path))
        for kind, places in found
        for path in places
        if path.name != SERVED and not path.name.startswith(".")
    ]


def reproduction_pieces(home: Path) -> list[Removable]:
    """Runs that were built again, each with its home; they go only while nobody builds there."""
    return [
        Removable(
            "rebuilt run", path, tuple(_files(path)), max(map(_mtime, [path, *_files(path)])), _when_idle(path, path)
        )
        for path in home.glob(f"{REPRODUCTIONS}/*/")
        if not path.name.startswith(".")
    ]


def leftovers(home: Path) -> list[Removable]:
    """What a cleaning that was killed has renamed and not removed: it goes at once."""
    parents = [home / "runs", home / "sandbox", home / "champion", *home.glob("data/*/")]
    parents += [home / BASES, home / FOLDS, home / REHEARSALS, home / REPRODUCTIONS]
    found = [path for parent in parents for path in parent.glob(f"{REMOVED}*") if path.is_dir()]
    return [Removable("leftover", path, tuple(_files(path)), 0.0, partial(_gone, path)) for path in found]


def size_of(places: Iterable[Path]) -> int:
    """Bytes on disk below some folders; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for place in places:
        for path in _files(place):
            with suppress(OSError):
                found = path.lstat()
                seen[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def used_at(folder: Path) -> float:
    """When anything was last written in a folder, a level deep, seconds since the epoch; 0 for none."""
    with suppress(OSError):
        inside = [path for path in folder.iterdir() if path.name not in (".lock", "features")]
        return max(map(_mtime, [*inside, folder / RUN_FILE] if inside else [folder]))
    return 0.0


def _runs(home: Path) -> Iterator[Path]:
    for path in sorted((home / "runs").glob("*/")):
        if not path.name.startswith(".") and not path.is_symlink() and is_run_dir(path):
            yield path


def _is_held(run: Path) -> bool:
    try:
        with locked(run):
            return False
    except EraflowError:  # held, or not ours to judge
        return True


def _remover(folder: Path, run: Path) -> Callable[[], bool]:
    def remove() -> bool:
        try:
            with locked(run):
                aside = _aside(folder)
        except RunLockedError:
            return False
        return _gone(aside)

    return remove


def _when_idle(home: Path, folder: Path) -> Callable[[], bool]:
    def remove() -> bool:
        with idle(home) as nobody:
            if not nobody:
                return False
            aside = _aside(folder)
        return _gone(aside)

    return remove


def _aside(folder: Path) -> Path:
    """Rename: from now on nobody takes it for what it was."""
    place = folder.with_name(f"{REMOVED}{folder.name}-{uuid.uuid4().hex[:8]}")
    folder.rename(place)
    return place


def _gone(folder: Path) -> bool:
    shutil.rmtree(folder)
    return True


def _bulk_of_store(run: Path) -> list[Path]:
    return [path for path in _files(run / "features" / "store") if path.name not in SMALL]


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, links not followed; one that goes meanwhile is left out."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


def _mtime(path: Path) -> float:
    with suppress(OSError):
        return path.lstat().st_mtime
    return 0.0
