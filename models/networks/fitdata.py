"""What a network learns from: rows, their targets standardised by era, and the eras by which it is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import Plan
from models.base.furthertargets import FurtherTargets
from models.base.protocol import Codes, ConstantPredictionsError
from models.base.rows import Columns, TrainingRows, check_rows
from models.base.wholeeras import FitEras, Offsets, one_fit_era
from models.networks.eratargets import KeptBack, Targets, keep_back, known_offsets, side_by_side, standardised


@dataclass(frozen=True)
class FitData:
    """The data of one fit.

    Attributes:
        x, y, columns: as the fit was given them.
        eras: offsets of the eras in the rows of x.
        kept: eras that are kept back; None: none are.
        rows: those with a known target, without the eras kept back and the purge before them.
        targets: float32[rows.n_rows], standardised within each era; with further targets float32[rows.n_rows, 1 + k],
            the own one first, NaN where one is not known.
        known_eras: offsets of the eras among `rows`.
        centre, scale: mean and standard deviation of the own target of `rows`.
        length: see `models.base.wholeeras.FitEras`.
        weights: of the further targets; empty: there are none.
    """

    x: Codes
    y: Targets
    columns: Columns
    eras: Offsets
    kept: KeptBack | None
    rows: TrainingRows
    targets: npt.NDArray[np.float32]
    known_eras: Offsets
    centre: float
    scale: float
    length: float | None
    weights: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        eras: FitEras | None,
        *,
        plan: Plan,
        columns: Columns,
        validation_share: float,
        who: str,
        further: FurtherTargets | None = None,
    ) -> FitData:
        """From what a model's `fit` is given; without eras, all rows are one.

        Further targets are learnt in the eras in which the own one is, also in rows where that is not known.

        Raises:
            TrainingDataError: nothing to learn from, or arrays that do not fit.
            ConstantPredictionsError: all targets of an era are equal.
        """
        check_rows(x, y)
        eras = eras or one_fit_era(len(x))
        kept = keep_back(y, eras, validation_share)
        learnt = y if kept is None else kept.target
        rows = TrainingRows(x, learnt, plan.rows_in_memory, columns)
        known_eras = known_offsets(learnt, eras.offsets)
        targets = standardised(rows.labels, known_eras)
        if not targets.any():
            raise ConstantPredictionsError(
                f"{who} found nothing to learn in {rows.n_rows} rows: all targets of an era are equal, as in the first "
                f"one {rows.labels[0]:.6g}",
                "check that the target varies in the eras trained on",
            )
        centre, scale = float(rows.labels.mean(dtype=np.float64)), float(rows.labels.std(dtype=np.float64))
        if further is None:
            return cls(x, y, columns, eras.offsets, kept, rows, targets, known_eras, centre, scale, eras.length)
        of_all = side_by_side(learnt, further.values, eras.offsets)
        some = np.where(np.isnan(of_all).all(axis=1), np.nan, np.float32(0))
        rows, known_eras = TrainingRows(x, some, plan.rows_in_memory, columns), known_offsets(some, eras.offsets)
        targets = of_all[~np.isnan(some)]
        weights = further.weights
        return cls(x, y, columns, eras.offsets, kept, rows, targets, known_eras, centre, scale, eras.length, weights)

    def targets_of_all_rows(self) -> npt.NDArray[np.float32]:
        """float32[n], or [n, 1 + k], for every row of x; NaN where nothing is learnt."""
        result = np.full((len(self.x), *self.targets.shape[1:]), np.nan, dtype=np.float32)
        result[self.rows.known] = self.targets
        return result
