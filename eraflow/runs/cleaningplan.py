"""What goes from a home folder: by age, then by size; and its removal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eraflow.errors import EraflowError
from eraflow.runs.reclaim import DAY, Removable, size_of


@dataclass(frozen=True)
class Planned:
    """A piece that is to go, and what that frees: a file with other names frees nothing before the last of them."""

    piece: Removable
    bytes: int


@dataclass(frozen=True)
class CleaningPlan:
    """What goes, in this order; what stays although it is old or large, and why; and the size of the home."""

    going: tuple[Planned, ...]
    kept: Mapping[Path, str]
    home_bytes: int

    @property
    def bytes(self) -> int:
        """What is freed in all."""
        return sum(planned.bytes for planned in self.going)


def plan(
    pieces: Iterable[Removable],
    home: Path,
    kept: Mapping[Path, str],
    *,
    bulk_days: float,
    keep_days: float,
    max_bytes: float | None,
    now: float,
) -> CleaningPlan:
    """Choose what goes: what is older than it may become, then the oldest until the home is small enough.

    What can be made again goes before what cannot.
    """
    size, names, going = size_of([home]), Counter[tuple[int, int]](), []
    ordered = sorted(pieces, key=lambda piece: (not piece.bulk, piece.used_at))
    young = [piece for piece in ordered if now - piece.used_at <= (bulk_days if piece.bulk else keep_days) * DAY]
    for piece in ordered:
        if piece not in young:
            going.append(Planned(piece, _freed(piece, names)))
    for piece in young:
        if max_bytes is None or size - sum(planned.bytes for planned in going) <= max_bytes:
            break
        going.append(Planned(piece, _freed(piece, names)))
    return CleaningPlan(tuple(going), dict(kept), size)


def carry_out(going: Iterable[Planned]) -> tuple[list[Planned], dict[Path, str]]:
    """Remove what was planned; returns what went, and what did not with the reason."""
    done, refused = [], {}
    for planned in going:
        try:
            if planned.piece.remove():
                done.append(planned)
            else:
                refused[planned.piece.path] = "somebody works with it now"
        except (OSError, EraflowError) as error:
            refused[planned.piece.path] = str(error)
    return done, refused


def _freed(piece: Removable, names: Counter[tuple[int, int]]) -> int:
    """Bytes that are freed when this piece goes after those that were counted before."""
    freed = 0
    for path in piece.files:
        with suppress(OSError):
            found = path.lstat()
            names[found.st_dev, found.st_ino] += 1
            if names[found.st_dev, found.st_ino] == found.st_nlink:
                freed += found.st_blocks * 512
    return freed


def now() -> float:
    """This moment, seconds since the epoch."""
    return time.time()
