"""A bag: the average of the ranks, within each era, of several fits of one learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.machine.plan import Plan
from models.bags.fitting import Make, fit_parts
from models.bags.keptparts import Curve, FittedPart, KeptParts
from models.bags.parts import BagPart, Positions, used_columns
from models.base.fitted import check_features, check_saved_is_fitted
from models.base.furthertargets import FurtherTargets
from models.base.protocol import (
    MODEL_FILE,
    Codes,
    DamagedModelError,
    FloatArray,
    Model,
    ProgressFn,
    read_description,
)
from models.base.rows import check_rows
from models.base.wholeeras import FitEras, Offsets, one_era, one_fit_era, predict_in_eras

BAG = "bag"
"""What tells a saved bag from a saved model, in `model.json`."""
TOLD = ("library", "library_version", "own")
"""What is the same for all parts, and told of the bag."""


class BagModel:
    """Several fits of one learner as one model; see `models.base.protocol.Model`.

    A prediction is the weighted mean over the parts of (r - 0.5) / n, where r is the average rank of the part's own
    prediction among the n of its era, ties kept: a part that gives all rows of an era the same says nothing about them.
    So it lies between 0 and 1, the scale of a part does not matter, and eras have to be whole. Each recipe counts alike
    on each set of features, and its fits on every n-th era share that. The parts are fitted one after the other; only
    the finished models are held together.

    Attributes:
        kind: of its parts.
        params: of the member, over which each part has its own.
        parts: its fits.
        fitted: the model of each; none before the fit.
        lengths, curves: of all networks in it, part by part.

    Args:
        kind, params: see above.
        parts: at least one.
        make: makes the learner of a part, with a folder for its checkpoints.
        load: reads a saved model.
        checkpoints: folder of this very fit; see `models.bags.keptparts`.
        neural: whether the learner is a network.
    """

    needs_whole_eras: ClassVar[bool] = True
    learns_by_era: ClassVar[bool] = True

    def __init__(
        self,
        kind: str,
        params: Mapping[str, Any],
        parts: Sequence[BagPart],
        make: Make,
        load: Callable[[Path], Model],
        checkpoints: Path | None = None,
        *,
        neural: bool = False,
    ) -> None:
        self.kind, self.params, self.parts = kind, dict(params), tuple(parts)
        self.n_features, self._neural = 0, neural
        self._make, self._kept = make, KeptParts(checkpoints, load)
        self.fitted: tuple[FittedPart, ...] = ()

    def with_models(self, models: Sequence[Model], n_features: int) -> Self:
        """Itself, with the models of its parts as they were saved."""
        self.fitted, self.n_features = tuple(FittedPart(model) for model in models), n_features
        return self

    @property
    def columns(self) -> Positions:
        """The columns of x that some part uses; None: all."""
        return used_columns(self.parts)

    @property
    def lengths(self) -> list[float]:
        """See `models.networks.networkmodel.NetworkModel`."""
        return [length for part in self.fitted for length in part.lengths]

    @property
    def curves(self) -> list[Curve]:
        """See `models.networks.networkmodel.NetworkModel`."""
        return [curve for part in self.fitted for curve in part.curves]

    def fit(
        self,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        *,
        plan: Plan,
        seed: int,
        progress: ProgressFn | None = None,
        eras: FitEras | None = None,
        further: FurtherTargets | None = None,
    ) -> None:
        """Fit every part that an earlier attempt has not finished.

        Args:
            eras: of the rows of x; None: they are one era.
            further: targets that networks learn besides.

        Raises:
            TrainingDataError: nothing to learn from, or fewer eras than offsets.
        """
        check_rows(x, y)
        known = one_fit_era(len(x)) if eras is None else eras
        self.fitted = fit_parts(
            self.parts,
            self._make,
            self._kept,
            x,
            y,
            known,
            neural=self._neural,
            plan=plan,
            seed=seed,
            progress=progress,
            further=further,
        )
        self.n_features = x.shape[1]

    def predict(self, x: Codes, *, plan: Plan | None = None, eras: Offsets | None = None) -> FloatArray:
        """float64[n], above 0 and below 1: the weighted mean of the parts' ranks within each era.

        Args:
            x: int8[n, f], whole eras.
            plan: as for the parts.
            eras: int64[e + 1], offsets of the eras; None: x is one era.

        Raises:
            DamagedModelError: it was neither fitted nor loaded, or x has another number of features.
            StageNaN: a prediction of a part is not finite.
        """
        check_features(self.kind, self.n_features, x, fitted=bool(self.fitted))
        offsets = one_era(len(x)) if eras is None else eras
        # Ranks need SciPy, and whoever loads a model that is no bag is not to wait for it.
        from eraflow.scoring.ranking import EraGroups
        from models.bags.ranks import ranks_within_eras

        groups, total = EraGroups(offsets), np.zeros(len(x))
        for part, fitted in zip(self.parts, self.fitted, strict=True):
            raw = predict_in_eras(fitted.model, x, offsets, plan=plan)
            total += part.weight * ranks_within_eras(raw, groups)
        return total / self.weight

    @property
    def weight(self) -> float:
        """Of all parts together."""
        return sum(part.weight for part in self.parts)

    def save(self, folder: Path) -> None:
        """Write each part into a folder of its own and, last, `model.json`, which tells of them all."""
        check_saved_is_fitted(self.kind, fitted=bool(self.fitted))
        described = []
        for part, fitted in zip(self.parts, self.fitted, strict=True):
            place = folder / part_folder(part.number)
            fitted.save(place)
            described.append({**part.described(), "sha256": file_sha256(place / MODEL_FILE)})
        first = part_folder(self.parts[0].number)
        told = read_description(folder / first)
        description = {
            "kind": self.kind,
            "n_features": self.n_features,
            **({} if self.columns is None else {"columns": list(self.columns)}),
            "params": self.params,
            "needs_whole_eras": True,
            "trained_with": {"fits": len(self.parts)},
            **{name: told[name] for name in TOLD if name in told},
            BAG: described,
            "file": f"{first}/{MODEL_FILE}",
            "sha256": described[0]["sha256"],
        }
        write_json(folder / MODEL_FILE, description)


def part_folder(number: int) -> str:
    """Where a part of a saved bag lies."""
    return f"part-{number}"


def read_parts(folder: Path, description: Mapping[str, Any]) -> tuple[BagPart, ...]:
    """The parts of a saved bag, each checked to be the one that was saved.

    Raises:
        DamagedModelError: a part is missing or changed.
    """
    try:
        told: list[dict[str, Any]] = [dict(one) for one in description[BAG]]
        sums = [str(one.pop("sha256")) for one in told]
        parts = tuple(BagPart(**{**one, "columns": _positions(one["columns"])}) for one in told)
        found = [file_sha256(folder / part_folder(part.number) / MODEL_FILE) for part in parts]
        if not parts or found != sums:
            raise ValueError("a part is another one")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedModelError(f"{folder} does not hold the bag it describes: {error}", "train it again") from error
    return parts


def _positions(stored: Sequence[int] | None) -> Positions:
    return None if stored is None else tuple(int(at) for at in stored)
