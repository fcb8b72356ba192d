"""The function that Numerai runs: features of one or many eras in, ranks within each era out.

What stands here is not imported there: its source, and that of all it reaches, is taken by `models.delivery.sourcecode`
and run by the interpreter it is for. So it may use numpy, scipy, pandas and the boosters, and of this project only
functions of plain arrays. An ensemble comes as plain data, see `models.delivery.parts.shipped_ensemble`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from eraflow.data.codes import MISSING_CODE
from eraflow.data.footer import HIGHEST_CODE
from eraflow.scoring.neutralise import mixed, residual_of_era
from eraflow.scoring.ranking import EraGroups, order_within_eras
from models.base.protocol import Codes, FloatArray
from models.delivery.shippedparts import part_predictions

ID, ERA, PREDICTION = "id", "era", "prediction"
Blend = Callable[[FloatArray, EraGroups, FloatArray], FloatArray]
Predict = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]


class LiveFeaturesError(ValueError):
    """The rows lack a feature of the model, or hold a value that is no code. The text names it."""


def make_predict(shipped: Mapping[str, Any], functions: Mapping[str, Any]) -> Predict:
    """The function to be shipped.

    Args:
        shipped: the ensemble as plain data: features, weights, neutralise, parts, blend, signature.
        functions: `module:name` -> function, for the blend and for each network.

    Returns:
        `predict(live_features, live_benchmark_models)`. Its attribute `members` gives float64[n, k], what each part
        says of one era int8[n, f]; `finish` the ensemble's raw prediction from these; `features` and `signature` tell
        what it is. A rehearsal compares with them.
    """
    loaded: dict[int, Any] = {}  # boosters, once they were asked: a validation calls for each era

    def members(codes: Codes) -> FloatArray:
        parts = enumerate(shipped["parts"])
        return np.stack([part_predictions(part, codes, functions, loaded, at) for at, part in parts], axis=1)

    def finish(found: FloatArray, codes: Codes) -> FloatArray:
        return finished(shipped, functions[shipped["blend"]], found, codes)

    def predict(live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame) -> pd.DataFrame:
        ranks = np.empty(len(live_features))
        positions = feature_positions(live_features, shipped["features"])
        for rows in rows_of_eras(live_features):
            codes = codes_of(live_features.iloc[rows], positions)
            ranks[rows] = within_era(finish(members(codes), codes))
        return pd.DataFrame({PREDICTION: ranks}, index=pd.Index(ids_of(live_features), name=ID))

    made: Any = predict
    made.members, made.finish = members, finish
    made.features, made.signature = list(shipped["features"]), shipped["signature"]
    made.parts = [part["name"] for part in shipped["parts"]]
    return predict


def finished(shipped: Mapping[str, Any], blend: Blend, found: FloatArray, codes: Codes) -> FloatArray:
    """float64[n]: the ensemble's prediction of one era, from float64[n, k] and int8[n, f]."""
    together = blend(found, EraGroups.from_sizes([len(found)]), shipped["weights"])
    neutralise = shipped["neutralise"]
    if neutralise is None:
        return together
    columns = neutralise["columns"]
    left = residual_of_era(together, codes if columns is None else np.take(codes, columns, axis=1))
    return mixed(together, left, neutralise["proportion"])


def within_era(values: FloatArray) -> FloatArray:
    """float64[n] in (0, 1): (rank - 0.5) / n of the rows of one era, ties kept."""
    order = order_within_eras(np.ascontiguousarray(values, dtype=np.float64), EraGroups.from_sizes([len(values)]))
    ranks = np.empty(len(values))
    ranks[order.rows] = (order.ranks() - 0.5) / max(len(values), 1)
    return ranks


def ids_of(frame: pd.DataFrame) -> npt.NDArray[Any]:
    """The ids: the column of that name, else the index."""
    return np.asarray(frame[ID] if ID in frame.columns else frame.index, dtype=object)


def feature_positions(frame: pd.DataFrame, features: list[str]) -> npt.NDArray[np.intp]:
    """int[f]: where each feature stands among the columns, whatever their order.

    Raises:
        LiveFeaturesError: some are missing.
    """
    place = {name: at for at, name in enumerate(frame.columns)}
    absent = [name for name in features if name not in place]
    if absent:
        raise LiveFeaturesError(f"{len(absent)} of {len(features)} features are missing, such as {absent[0]}")
    return np.array([place[name] for name in features], dtype=np.intp)


def rows_of_eras(frame: pd.DataFrame) -> list[Any]:
    """The rows of each era, as slices where they lie together, else int64[n]; one era where no column tells."""
    if len(frame) == 0:
        return []
    if ERA not in frame.columns:
        return [slice(0, len(frame))]
    labels = np.asarray(frame[ERA].astype(str), dtype=object)
    starts = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), len(labels)]
    if len({labels[start] for start in starts[:-1]}) == len(starts) - 1:
        return [slice(first, last) for first, last in pairwise(starts)]
    place: dict[Any, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        place.setdefault(label, []).append(row)
    return [np.array(rows, dtype=np.int64) for rows in place.values()]


def codes_of(frame: pd.DataFrame, positions: npt.NDArray[np.intp]) -> Codes:
    """int8[n, f]: the features of one era; a missing value is 2, as Numerai codes it.

    Raises:
        LiveFeaturesError: a value is none of the codes 0 to 4.
    """
    chosen = frame.iloc[:, positions]
    values = chosen.to_numpy()
    if values.dtype == object:  # of several types, or of pandas' own with NA
        values = chosen.to_numpy(dtype=np.float32, na_value=np.nan)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), values.dtype.type(MISSING_CODE), values)
    codes = np.ascontiguousarray(values, dtype=np.int8)
    wrong = (codes != values) | (codes < 0) | (codes > HIGHEST_CODE)
    if wrong.any():
        row, column = (int(found[0]) for found in np.nonzero(wrong))
        raise LiveFeaturesError(f"{chosen.columns[column]} is {values[row, column]} in row {row}: no code from 0 to 4")
    return codes
