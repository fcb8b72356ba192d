"""What every kind of model checks before it predicts or is saved, and of what it predicts."""

from __future__ import annotations

import numpy as np

from eraflow.machine.failures import StageNaN
from models.base.protocol import Codes, DamagedModelError, FloatArray


def check_features(kind: str, n_features: int, x: Codes, *, fitted: bool) -> None:
    """Refuse to predict with a model that was neither fitted nor loaded, or rows of another width.

    Args:
        kind: of the model, for the text.
        n_features: width of the x it was fitted on.
        x: what it is to predict.
        fitted: whether it was fitted or loaded.

    Raises:
        DamagedModelError: it cannot predict these rows.
    """
    if not fitted or x.ndim != 2 or x.shape[1] != n_features:
        raise DamagedModelError(
            f"a model of kind {kind} with {n_features} features was given x{list(x.shape)}",
            "fit or load it first, and pass exactly the features it was fitted on",
        )


def check_finite(kind: str, predictions: FloatArray) -> None:
    """Refuse predictions that are not finite.

    Raises:
        StageNaN: one is NaN or infinite.
    """
    if not np.isfinite(predictions).all():
        raise StageNaN(f"{kind} returned NaN values", "lower its learning_rate, if it has one")


def check_saved_is_fitted(kind: str, *, fitted: bool) -> None:
    """Refuse to save a model that was never fitted.

    Raises:
        DamagedModelError: it was not.
    """
    if not fitted:
        raise DamagedModelError(f"this {kind} model was not fitted", "fit it before saving")
