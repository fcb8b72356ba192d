"""Whole eras for the models that ask for them: they are given the offsets of their eras, others never are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import Plan
from models.base.protocol import Codes, FloatArray, Model, ProgressFn

Offsets = npt.NDArray[np.int64]
"""int64[e + 1]: era i of x is its rows offsets[i]:offsets[i + 1]; the first is 0, the last the number of rows."""


def needs_whole_eras(model: Any) -> bool:
    """Whether a model, or a class, asks for whole eras."""
    return getattr(model, "needs_whole_eras", False) is True


def fit_in_eras(
    model: Model,
    x: Codes,
    y: npt.NDArray[np.floating[Any]],
    eras: Offsets,
    *,
    plan: Plan,
    seed: int,
    progress: ProgressFn | None = None,
) -> None:
    """`model.fit`, with the eras where it asks for them; see `models.base.protocol.Model`."""
    learner: Any = model
    learner.fit(x, y, plan=plan, seed=seed, progress=progress, **_given(model, eras))


def predict_in_eras(model: Model, x: Codes, eras: Offsets, *, plan: Plan | None = None) -> FloatArray:
    """`model.predict` of whole eras, with their offsets where it asks for them."""
    learner: Any = model
    found: FloatArray = learner.predict(x, plan=plan, **_given(model, eras))
    return found


def one_era(rows: int) -> Offsets:
    """The offsets of a matrix that is one era."""
    return np.array([0, rows], dtype=np.int64)


def _given(model: Model, eras: Offsets) -> dict[str, Any]:
    return {"eras": np.asarray(eras, dtype=np.int64)} if needs_whole_eras(model) else {}
