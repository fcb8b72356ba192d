"""The fits of a bag: what each of them learns with, and from which eras and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.data.memberbag import Bag
from models.base.protocol import TrainingDataError
from models.base.seeds import derived_seed
from models.base.treecount import tree_count
from models.base.wholeeras import Offsets

Positions = tuple[int, ...] | None
"""Ascending positions of columns of x; None: all of them."""


@dataclass(frozen=True)
class BagPart:
    """One fit of a bag.

    Attributes:
        number: its place in the bag.
        params: of the learner.
        columns: that it uses.
        step, offset: it learns from every `step`-th era, from the one at `offset` on.
    """

    number: int
    params: dict[str, Any]
    columns: Positions = None
    step: int = 1
    offset: int = 0

    @property
    def weight(self) -> float:
        """What it counts, next to others: each recipe counts alike on each set, and its fits share that."""
        return 1 / self.step

    @property
    def rows(self) -> tuple[Positions, int, int]:
        """What it learns from: parts in which this agrees learn from the same values."""
        return self.columns, self.step, self.offset

    def seed(self, seed: int) -> int:
        """Its own, drawn from that of the bag; the first has that very seed."""
        return seed if self.number == 0 else derived_seed(seed, self.number)

    def described(self) -> dict[str, Any]:
        """Plain JSON values."""
        told = asdict(self)
        return {**told, "columns": None if self.columns is None else list(self.columns)}


def parts_of(bag: Bag, columns: Mapping[str, Positions]) -> tuple[BagPart, ...]:
    """All fits of a bag: set by set, recipe by recipe, offset by offset.

    Args:
        bag: recipes and sets.
        columns: of each set, by its name.
    """
    found = [
        (recipe, columns[each.name], offset)
        for each in bag.sets
        for recipe in bag.recipes
        for offset in range(recipe.era_step)
    ]
    return tuple(
        BagPart(number, dict(recipe.params), positions, recipe.era_step, offset)
        for number, (recipe, positions, offset) in enumerate(found)
    )


def used_columns(parts: Sequence[BagPart]) -> Positions:
    """The columns that some part uses; None: all."""
    if any(part.columns is None for part in parts):
        return None
    return tuple(sorted({at for part in parts for at in part.columns or ()}))


def target_of(part: BagPart, y: npt.NDArray[np.floating[Any]], offsets: Offsets) -> npt.NDArray[np.floating[Any]]:
    """What a part learns: y with NaN in the eras that are not its own; eras without a known target are not counted.

    Args:
        part: one of a bag.
        y: float[n], NaN where it is not known.
        offsets: of the eras in the rows of y.

    Raises:
        TrainingDataError: fewer eras than parts to share them.
    """
    if part.step == 1:
        return y
    known = np.flatnonzero(np.diff(np.concatenate([[0], np.cumsum(~np.isnan(y))])[offsets]))
    if len(known) < part.step:
        raise TrainingDataError(
            f"a bag learns from every {part.step}th era, and there are {len(known)} with a known target",
            "lower era_step in the member's bag.recipes",
        )
    own = np.zeros(len(offsets) - 1, dtype=bool)
    own[known[part.offset :: part.step]] = True
    return np.where(np.repeat(own, np.diff(offsets)), y, np.nan).astype(y.dtype)


def work_of(part: BagPart, width: int, *, neural: bool) -> float:
    """How much work a fit is, next to the others of its bag; what a network does is stated whatever its rows.

    Args:
        part: the fit.
        width: columns of x.
        neural: whether the learner is a network.
    """
    columns = width if part.columns is None else len(part.columns)
    return float(columns) if neural else tree_count(part.params) * columns / part.step
