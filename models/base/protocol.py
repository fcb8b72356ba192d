"""What every model can do, and the errors of this room."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from eraflow.errors import EraflowError, SettingsError
from eraflow.machine.failures import StageNaN
from eraflow.machine.plan import Plan

Codes = npt.NDArray[np.int8]
FloatArray = npt.NDArray[np.float64]
ProgressFn = Callable[[int, int, str], None]
"""Called about once a second with (done, total, label), in the model's own unit (trees, updates)."""

MODEL_FILE = "model.json"


class ModelSettingsError(SettingsError):
    """A learner does not know a parameter, or refuses its value. Correct it under the model's `params`."""

    code = "model_settings"


class TrainingDataError(EraflowError):
    """There is nothing to learn from, or the matrix and the target do not fit together."""

    code = "training_data"


class ConstantPredictionsError(EraflowError):
    """A model gives every row the same prediction: it found nothing it could split on."""

    code = "constant_predictions"


class DamagedModelError(EraflowError):
    """A saved model cannot be read, or is not of the kind it says. Train it again."""

    code = "damaged_model"


class Model(Protocol):
    """A learner. Made with keyword arguments only: `params` overrides its own settings.

    Attributes:
        kind: as in eraflow/kinds.py.
        columns: ascending positions of the columns of x that it uses; None: all. `fit` and `predict` take the full x.

    A class with the attribute `needs_whole_eras = True` is given one argument more, in `fit` and in `predict`: `eras`,
    int64[e + 1], the offsets of its eras in the rows of x. Every era is whole then; some may have no known target at
    all. One with `learns_by_era = True` is given `eras`, a FitEras, in `fit`. See models/base/wholeeras.py.
    """

    kind: str

    @property
    def columns(self) -> tuple[int, ...] | None:
        """Positions, or None for all."""

    def fit(
        self,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        *,
        plan: Plan,
        seed: int,
        progress: ProgressFn | None = None,
    ) -> None:
        """Learn. Rows whose target is NaN are left out of the loss.

        Args:
            x: int8[n, f] codes 0 to 4; may be a view of a file that is larger than the memory.
            y: float[n], used as float32.
            plan: how to use the machine; it changes speed and memory. What of it changes the result (`rate_factor`,
                `work_factor` and, for neural models, `clip_norm` and `precision`) is written into `model.json`.
            seed: everything random starts here.
            progress: told how far the work is.
        """

    def predict(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """float64[n]: the raw prediction of each row, computed in tiles of at most `plan.rows_in_memory` rows."""

    def save(self, folder: Path) -> None:
        """Write the model into `folder`; the same training gives the same bytes."""

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read what `save` wrote; its predictions are the same to the last bit."""


@runtime_checkable
class Explained(Protocol):
    """A fitted model that tells how much each of the features that it uses matters to it. A learner need not."""

    def gain(self) -> FloatArray:
        """float64[f]: what the splits on each feature, or whatever it has instead, saved of the loss; not negative."""

    def contributions(self, tile: Codes, threads: int) -> FloatArray:
        """float64[n, f + 1]: what each feature adds to each prediction (SHAP values), and last what none of them adds.

        Args:
            tile: int8[n, f], the features that it uses.
            threads: to compute with.
        """

    def contribution_steps(self) -> int:
        """How much work the contributions of one row are: trees x leaves x depth squared."""


def read_description(folder: Path) -> dict[str, Any]:
    """The JSON beside a saved model: kind, n_features, params, trained_with, library, library_version, file, sha256."""
    try:
        description: dict[str, Any] = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        if not {"kind", "n_features", "file", "sha256"} <= description.keys():
            raise ValueError("it lacks fields")
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedModelError(f"{folder / MODEL_FILE} cannot be read: {error}", "train this model again") from error
    return description


def check_predictions(values: FloatArray, who: str) -> None:
    """Refuse predictions that no one should build on.

    Args:
        values: float64[n], all predictions that belong together (a fold, a live era), not one tile of them.
        who: whose predictions, for the text.

    Raises:
        StageNaN: one is NaN or infinite.
        ConstantPredictionsError: there are two or more and all are equal.
    """
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise StageNaN(f"{bad} of {values.size} predictions of {who} are not finite", "lower its learning_rate")
    if values.size > 1 and values.min() == values.max():
        raise ConstantPredictionsError(
            f"all {values.size} predictions of {who} are {values[0]:.6g}",
            "give it more rows or trees, or lower what keeps it from splitting (min_data_in_leaf, min_child_weight)",
        )
