"""Loads a saved ensemble or member where this project is not: MLflow imports this file and calls `_load_pyfunc`.

It is copied into the saved model as it stands, so it imports Python's own modules, numpy and pandas alone. Nothing
is unpickled: the parts are JSON, arrays and the bytes of the boosters, and `assembly.py`, which lies beside them, puts
them together from the source that was judged.
"""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


class SavedModel:
    """What MLflow calls `python_function`: features of one or many eras in, predictions out."""

    def __init__(self, place: Path) -> None:
        self._predict: Any = runpy.run_path(str(place / "assembly.py"))["made"](place)
        self._gives: str = json.loads((place / "gives.json").read_text(encoding="utf-8"))

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """A frame with one column `prediction`, its index the ids.

        Args:
            model_input: the features by name in any order, codes 0 to 4 as integers or floats; `era` where the rows
                are of several eras, `id` as column or index.
            params: MLflow's, of which there are none.
        """
        found = self._predict(model_input, None)
        return found if self._gives == "ranks" else self._raw(model_input, found)

    def _raw(self, frame: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
        """What a single member says before anything is ranked, era by era."""
        eras = frame["era"].astype(str).to_numpy() if "era" in frame.columns else np.zeros(len(frame))
        codes = frame[self._predict.features].to_numpy(np.float32)
        codes = np.ascontiguousarray(np.where(np.isnan(codes), 2, codes), dtype=np.int8)
        values = np.empty(len(frame))
        for era in dict.fromkeys(eras.tolist()):
            rows = np.flatnonzero(eras == era)
            values[rows] = self._predict.members(codes[rows])[:, 0]
        return found.assign(prediction=values)


def _load_pyfunc(path: str) -> SavedModel:
    """MLflow's door: the model whose parts lie at `path`."""
    return SavedModel(Path(path))
