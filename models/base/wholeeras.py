"""Whole eras for the models that ask for them: they are given the offsets of their eras, others never are.

A model may ask for them in `fit` and `predict` (`needs_whole_eras`), or in `fit` alone (`learns_by_era`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import Plan
from models.base.furthertargets import FurtherTargets
from models.base.protocol import Codes, FloatArray, Model, ProgressFn

Offsets = npt.NDArray[np.int64]
"""int64[e + 1]: era i of x is its rows offsets[i]:offsets[i + 1]; the first is 0, the last the number of rows."""


@dataclass(frozen=True)
class FitEras:
    """What is known of the eras that a fit is given.

    Attributes:
        offsets: of the eras in the rows of x.
        weeks: int64[e], the number of each era.
        purge_weeks: how far the labels of the target reach: what is learnt from ends more than this before what is
            judged.
        length: share of its planned length at which the training ends, 0 < length <= 1; None: it finds that by itself,
            on eras that it keeps back.
    """

    offsets: Offsets
    weeks: npt.NDArray[np.int64]
    purge_weeks: int
    length: float | None = None


def needs_whole_eras(model: Any) -> bool:
    """Whether a model, or a class, asks for whole eras."""
    return getattr(model, "needs_whole_eras", False) is True


def learns_by_era(model: Any) -> bool:
    """Whether a model, or a class, asks for the eras in `fit` only; its `fit` takes `eras: FitEras | None`."""
    return getattr(model, "learns_by_era", False) is True


def fit_in_eras(
    model: Model,
    x: Codes,
    y: npt.NDArray[np.floating[Any]],
    eras: FitEras,
    *,
    plan: Plan,
    seed: int,
    progress: ProgressFn | None = None,
    further: FurtherTargets | None = None,
) -> None:
    """`model.fit`, with the eras where it asks for them; see `models.base.protocol.Model`.

    Args:
        further: targets that a network learns besides; other models take none.
    """
    learner: Any = model
    given: dict[str, Any] = {"eras": eras} if learns_by_era(model) else _given(model, eras.offsets)
    if further is not None:
        given["further"] = further
    learner.fit(x, y, plan=plan, seed=seed, progress=progress, **given)


def predict_in_eras(model: Model, x: Codes, eras: Offsets, *, plan: Plan | None = None) -> FloatArray:
    """`model.predict` of whole eras, with their offsets where it asks for them."""
    learner: Any = model
    found: FloatArray = learner.predict(x, plan=plan, **_given(model, eras))
    return found


def one_era(rows: int) -> Offsets:
    """The offsets of a matrix that is one era."""
    return np.array([0, rows], dtype=np.int64)


def one_fit_era(rows: int) -> FitEras:
    """A matrix that is one era."""
    return FitEras(one_era(rows), np.array([0], dtype=np.int64), 0)


def _given(model: Model, eras: Offsets) -> dict[str, Any]:
    return {"eras": np.asarray(eras, dtype=np.int64)} if needs_whole_eras(model) else {}
