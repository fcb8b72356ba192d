"""Looking at a model while it trains, every few trees, and stopping it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.base.meter import Meter
from models.base.protocol import Codes, FloatArray
from models.base.rows import Columns, tile_rows, tiles

TileFn = Callable[[Codes, int, int], npt.NDArray[np.floating[Any]]]
"""(tile int8[m, used columns], first tree, last tree) -> float[m], the sum of these trees."""


class PartialModel(Protocol):
    """The trees that a training has so far."""

    def predict(self, x: Codes, first_tree: int, last_tree: int) -> FloatArray:
        """float64[n]: sum of the trees [first, last), raw, without the base score.

        So looks are incremental: what an earlier look has summed is kept by the caller, and each tree is computed once.
        LightGBM and CatBoost fold the mean of the target into the first tree; ranks and correlations do not see it.

        Args:
            x: int8[n, f], as wide as the x that is learnt from; read in tiles.
            first_tree, last_tree: from 0 to the trees there are.
        """


class TreeWatch(Protocol):
    """Called while a model trains.

    A learner whose `looks_inside` is False predicts only the rows that the watch names beforehand: an attribute
    `holdout`, int8[n, f], which is then the only x that `PartialModel.predict` takes (the very same array).

    Attributes:
        every: trees between two looks.
    """

    every: int

    def __call__(self, trees: int, model: PartialModel) -> bool:
        """One look, after `trees` trees. True: stop here; the fit then ends normally with the trees it has."""


class Looks:
    """When a watch looks, and what it said.

    Attributes:
        trees: how many there were when it stopped the fit; 0: it did not.

    Args:
        watch: None: nobody looks.
    """

    def __init__(self, watch: TreeWatch | None) -> None:
        self.watch = watch
        self.trees = 0

    def due(self, trees: int) -> bool:
        """Whether it is time for a look."""
        return self.watch is not None and trees % max(self.watch.every, 1) == 0

    def __call__(self, trees: int, model: PartialModel) -> bool:
        """Let the watch look when it is time; whether to stop."""
        if self.watch is None or not self.due(trees):
            return False
        stop = bool(self.watch(trees, model))
        self.trees = trees if stop else 0
        return stop


class TiledModel:
    """A `PartialModel` from a function that predicts one tile.

    Args:
        columns: which of x are used.
        width: columns of x.
        rows_in_memory: upper bound of a tile.
        predict_tile: the library's own prediction.
    """

    def __init__(self, columns: Columns, width: int, rows_in_memory: int, predict_tile: TileFn) -> None:
        self._columns, self._predict_tile = columns, predict_tile
        self._rows = tile_rows(columns.count(width), rows_in_memory)

    def predict(self, x: Codes, first_tree: int, last_tree: int) -> FloatArray:
        """float64[n]; see `PartialModel`."""
        result = np.zeros(len(x), dtype=np.float64)
        for rows in tiles(len(x), self._rows) if last_tree > first_tree else ():
            result[rows] = self._predict_tile(self._columns.of(x[rows]), first_tree, last_tree)
        return result


@dataclass(frozen=True)
class FitWatch:
    """Who is told of the trees while a fit goes on.

    Attributes:
        meter: counts them.
        looks: may look at the trees so far, and stop.
        partial: makes what a look sees from the library's own prediction of a tile.
        threads: for the predictions of a look.
    """

    meter: Meter
    looks: Looks
    partial: Callable[[TileFn], TiledModel]
    threads: int

    def tree(self, trees: int, predict_tile: TileFn) -> bool:
        """After each tree: whether to stop."""
        self.meter(trees)
        return self.looks(trees, self.partial(predict_tile))
