"""Small bags over the planted data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.data.memberbag import Bag, FeatureSet, FitRecipe
from models.bags.parts import BagPart, parts_of
from models.base.wholeeras import FitEras, Offsets, fit_in_eras
from models.kinds import make_model
from tests.models.planted import PLAN, Planted, fast

ROWS = 100
"""Of an era."""


def small_parts(kind: str, *, step: int = 2, columns: tuple[int, ...] = (0, 1, 2, 5)) -> tuple[BagPart, ...]:
    """One fit on all eras and `step` on parts of them, on all columns and on some."""
    params = fast(kind)
    bag = Bag(
        (FitRecipe(params), FitRecipe(params, step)), (FeatureSet("run"), FeatureSet("some", ("named elsewhere",)))
    )
    return parts_of(bag, {"run": None, "some": columns})


def offsets_of(x: Any) -> Offsets:
    return np.arange(0, len(x) + 1, ROWS)


def fitted_bag(
    kind: str,
    planted: Planted,
    parts: Sequence[BagPart],
    *,
    plan: Any = PLAN,
    seed: int = 3,
    checkpoints: Path | None = None,
    progress: Any = None,
) -> Any:
    """A bag that has learnt from the planted data."""
    model = make_model(kind, fast(kind), parts=parts, checkpoints=checkpoints)
    offsets = offsets_of(planted.x)
    eras = FitEras(offsets, np.arange(len(offsets) - 1), 4)
    fit_in_eras(model, planted.x, planted.y, eras, plan=plan, seed=seed, progress=progress)
    return model
