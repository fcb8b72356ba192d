"""The out-of-fold predictions of several members, side by side in a file: of many rows only an era lies in memory.

The kernel can drop what it has read of a file, so the memory of a blend does not grow with its members.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eraflow.disk.atomic import storage_errors
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.progress import report
from eraflow.scoring.ranking import EraGroups
from models.base.predictions import Predictions, Unread, open_out_of_fold
from models.base.protocol import FloatArray, check_predictions
from models.training.train import OOF

COLUMNS, ROWS = "members-by-column.float64", "members.float64"
TURNED = 65_536
"""Rows that are turned from columns at once."""


class MembersDifferError(EraflowError):
    """Members were not judged on the same rows, or not on those of the era store. Train them again on one store."""

    code = "members_differ"


@dataclass(frozen=True)
class MemberColumns:
    """What the members predict.

    Attributes:
        names: of the members.
        eras: their labels, in order.
        groups: the rows of each era.
        values: float64[n, k], a view of the file; finite.
    """

    names: tuple[str, ...]
    eras: tuple[str, ...]
    groups: EraGroups
    values: FloatArray

    def predictions(self, values: FloatArray, store: EraStore) -> Predictions:
        """The same rows with other values, float64[n]; their ids are the store's."""
        return Predictions(store.ids(self.eras), self.eras, self.groups, values)


@contextmanager
def member_columns(members: Mapping[str, Path], store: EraStore, folder: Path) -> Iterator[MemberColumns]:
    """Read each member's out-of-fold file, one after the other. The file with the columns lies as long as this.

    Args:
        members: name -> folder of its training stage.
        store: whose rows they must be.
        folder: where the file lies.

    Raises:
        OutOfFoldFileError, ScoreInputError: a file cannot be read.
        MembersDifferError: the members' rows differ from each other or from the store.
        StageNaN, ConstantPredictionsError: a member's predictions are of no use.
        StorageError: the disk is full.
    """
    names, path = tuple(members), folder / ROWS
    first = open_out_of_fold(members[names[0]] / OOF)
    eras, groups = first.eras, first.groups
    del first
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with storage_errors(folder / COLUMNS), (folder / COLUMNS).open("wb") as file:
            for done, name in enumerate(names):
                report(done, len(names) + 1, f"reading {name}")
                found = open_out_of_fold(members[name] / OOF)
                _check_same_rows(name, found, names[0], eras, store)
                check_predictions(found.values, name)
                file.write(np.ascontiguousarray(found.values).data)
        _turn(folder / COLUMNS, path, len(names), groups.n_rows)
        rows = np.memmap(path, dtype=np.float64, mode="r", shape=(groups.n_rows, len(names)))
        yield MemberColumns(names, eras, groups, np.asarray(rows))
    finally:
        (folder / COLUMNS).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _turn(columns: Path, rows: Path, members: int, count: int) -> None:
    """Write the file by rows, as the members of one live era lie in memory: a sum over members rounds alike in both."""
    by_column = np.memmap(columns, dtype=np.float64, mode="r", shape=(members, count))
    with storage_errors(rows), rows.open("wb") as file:
        for start in range(0, count, TURNED):
            file.write(np.ascontiguousarray(by_column[:, start : start + TURNED].T).data)
    columns.unlink()


def _check_same_rows(name: str, found: Unread, first: str, eras: tuple[str, ...], store: EraStore) -> None:
    """A member must hold exactly the store's rows of its eras, and the same eras as the others."""
    if found.eras != eras:
        raise MembersDifferError(
            f"{name} was judged on {len(found.eras)} eras ({found.eras[0]} to {found.eras[-1]}), {first} on "
            f"{len(eras)} ({eras[0]} to {eras[-1]})",
            "train both again on the same windows",
        )
    for place, era in enumerate(eras):
        if not np.array_equal(found.ids(place), store.ids([era])):
            raise MembersDifferError(
                f"{name} does not hold the ids of the era store in its order, in era {era}",
                "train it again on this store",
            )
