"""Fitting the parts of a bag: those that learn from the same rows share the rows in their library's bins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import Plan
from models.bags.keptparts import FittedPart, KeptParts
from models.bags.parts import BagPart, target_of, work_of
from models.base.furthertargets import FurtherTargets
from models.base.protocol import Codes, Model, ProgressFn
from models.base.wholeeras import FitEras, fit_in_eras

Make = Callable[[BagPart, Path | None], Model]


def fit_parts(
    parts: Sequence[BagPart],
    make: Make,
    kept: KeptParts,
    x: Codes,
    y: npt.NDArray[np.floating[Any]],
    eras: FitEras,
    *,
    neural: bool,
    plan: Plan,
    seed: int,
    progress: ProgressFn | None,
    further: FurtherTargets | None,
) -> tuple[FittedPart, ...]:
    """Every part, fitted or read back; in their order, whichever was fitted first.

    Args:
        parts: of the bag.
        make: makes the learner of a part, with a folder for its checkpoints.
        kept: finished parts of an earlier attempt.
        neural: whether it is a network.
        x, y, eras, plan, seed, progress, further: as for `BagModel.fit`.
    """
    done: dict[int, FittedPart] = {}
    for part in parts:
        found = kept.read(part)
        if found is not None:
            done[part.number] = found
    told = BagProgress(progress, {part.number: work_of(part, x.shape[1], neural=neural) for part in parts}, done)
    for together in _by_rows([part for part in parts if part.number not in done]):
        target = target_of(together[0], y, eras.offsets)
        with ExitStack() as open_bins:
            shared: dict[str, Any] = {}
            for left, part in enumerate(together, start=1 - len(together)):
                model: Any = make(part, kept.checkpoints(part))
                prepared = _bins(model, shared, open_bins, x, target, plan, last=left == 0)
                fit: dict[str, Any] = {"plan": plan, "seed": part.seed(seed), "progress": told.of(part)}
                if prepared is None:
                    fit_in_eras(model, x, target, eras, further=further, **fit)
                else:
                    model.fit(x, target, prepared=prepared, **fit)
                done[part.number] = kept.keep(part, FittedPart.of(model))
                told.finished(part)
    return tuple(done[part.number] for part in parts)


def _by_rows(parts: Sequence[BagPart]) -> Iterator[list[BagPart]]:
    """The parts that learn from the same rows and columns together, in the order in which these first come."""
    places = {rows: place for place, rows in reversed(list(enumerate(part.rows for part in parts)))}
    for _, together in groupby(sorted(parts, key=lambda part: places[part.rows]), key=lambda part: part.rows):
        yield list(together)


def _bins(
    model: Any,
    shared: dict[str, Any],
    open_bins: ExitStack,
    x: Codes,
    target: npt.NDArray[np.floating[Any]],
    plan: Plan,
    *,
    last: bool,
) -> Any:
    """The rows in bins that this fit can share with others; None: it makes its own, or has none."""
    name = getattr(model, "binning_name", None)
    if name is None or (last and name not in shared):
        return None
    if name not in shared:
        shared[name] = open_bins.enter_context(model.prepare(x, target, plan=plan))
    return shared[name]


class BagProgress:
    """How far a bag is, in percent of the work of all its parts.

    Args:
        progress: told of the whole; None: nobody is.
        work: of each part, by its number.
        done: parts that are finished already, by number.
    """

    def __init__(self, progress: ProgressFn | None, work: Mapping[int, float], done: Mapping[int, Any]) -> None:
        self._progress, self._work, self._unit = progress, work, f"% of {len(work)} fits"
        self._done = sum(work[number] for number in done)

    def of(self, part: BagPart) -> ProgressFn:
        """What the learner of a part tells."""
        return lambda done, total, unit: self._tell(self._done + self._work[part.number] * done / total)

    def finished(self, part: BagPart) -> None:
        """A part is done."""
        self._done += self._work[part.number]
        self._tell(self._done)

    def _tell(self, done: float) -> None:
        if self._progress is not None:
            self._progress(round(100 * done / sum(self._work.values())), 100, self._unit)
