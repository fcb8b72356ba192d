"""What one part of a shipped ensemble says: trees and networks from arrays, other boosters from text or bytes.

Like `models.delivery.livepredictor` it runs where this project is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from eraflow.scoring.ranking import EraGroups
from models.bags.ranks import ranks_within_eras
from models.base.protocol import Codes, FloatArray
from models.base.rows import tiles
from models.compression.vaearrays import code_levels, means_of_codes
from models.delivery.treearrays import tree_predictions
from models.networks.blocks import BLOCK_ROWS, in_block

TILE_ROWS = 1024
"""Rows that a booster is given at once: it makes float32 or float64 of them."""
BAG = "bag"
Shipped = Mapping[str, Any]


class ShippedPartError(ValueError):
    """A part of the model gave something that is no prediction. The text names it."""


def part_predictions(
    part: Shipped, codes: Codes, functions: Mapping[str, Any], loaded: dict[int, Any], at: int
) -> FloatArray:
    """float64[n]: the raw prediction of a part for the rows of one era.

    Args:
        part: name, form, columns (positions, or None for all), encoder and use (or None), and what its form needs: a
            bag has parts and weights.
        codes: int8[n, f] of all features.
        functions: `module:name` -> function of a network.
        loaded: where boosters are kept, once they were made of their bytes.
        at: number of the part, by which they are kept.

    Raises:
        ShippedPartError: a prediction is not finite.
    """
    seen = codes if part["encoder"] is None else _with_code(part, codes)
    seen = seen if part["columns"] is None else np.take(seen, part["columns"], axis=1)
    if part["form"] == BAG:
        found = _bag(part, seen, functions, loaded.setdefault(at, {}))
    elif part["form"] == "trees":
        found = tree_predictions(part["trees"], seen)
    elif part["form"] == "network":
        found = _network(part, functions[part["function"]], seen)
    else:
        found = _booster(part, seen, loaded, at)
    if not np.isfinite(found).all():
        raise ShippedPartError(f"{part['name']} gave predictions that are not finite")
    return found


def _bag(part: Shipped, codes: Codes, functions: Mapping[str, Any], loaded: dict[int, Any]) -> FloatArray:
    """The weighted mean of its parts' ranks; see `models.bags.bagmodel.BagModel`."""
    groups, total = EraGroups.from_sizes([len(codes)]), np.zeros(len(codes))
    for at, (one, weight) in enumerate(zip(part["parts"], part["weights"], strict=True)):
        total += weight * ranks_within_eras(part_predictions(one, codes, functions, loaded, at), groups)
    return total / sum(part["weights"])


def _network(part: Shipped, function: Callable[..., Any], codes: Codes) -> FloatArray:
    result = np.empty(len(codes))
    for rows in [slice(0, len(codes))] if part["whole_eras"] else tiles(len(codes), BLOCK_ROWS):
        found = [
            function(one, codes[rows]) if part["whole_eras"] else in_block(function, one, codes[rows])
            for one in part["networks"]
        ]
        result[rows] = np.stack(found).mean(axis=0, dtype=np.float64)
    scaled: FloatArray = result * part["scale"] + part["centre"]
    return scaled


def _with_code(part: Shipped, codes: Codes) -> Codes:
    """int8[n, c], or [n, f + c]: the code of the features, instead of them or beside them."""
    encoder = part["encoder"]
    found = [
        code_levels(in_block(means_of_codes, encoder["weights"], codes[rows]), encoder["cuts"], encoder["active"])
        for rows in tiles(len(codes), BLOCK_ROWS)
    ]
    latent = np.concatenate(found)
    return latent if part["use"] == "instead" else np.concatenate([codes, latent], axis=1)


def _booster(part: Shipped, codes: Codes, loaded: dict[int, Any], at: int) -> FloatArray:
    make, predict = BOOSTERS[part["form"]]
    if at not in loaded:
        loaded[at] = make(part["content"])
    result = np.empty(len(codes))
    for rows in tiles(len(codes), TILE_ROWS):
        result[rows] = predict(loaded[at], np.ascontiguousarray(codes[rows]))
    return result


def _lightgbm(content: bytes) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=content.decode("utf-8"))


def _lightgbm_predict(booster: Any, codes: Codes) -> FloatArray:
    return np.asarray(booster.predict(codes, num_threads=1), dtype=np.float64)


def _xgboost(content: bytes) -> Any:
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(content))
    booster.set_param({"nthread": 1, "device": "cpu"})
    return booster


def _xgboost_predict(booster: Any, codes: Codes) -> FloatArray:
    return np.asarray(booster.inplace_predict(codes), dtype=np.float64)


def _catboost(content: bytes) -> Any:
    import catboost

    booster = catboost.CatBoost()
    booster.load_model(blob=content)
    return booster


def _catboost_predict(booster: Any, codes: Codes) -> FloatArray:
    return np.asarray(booster.predict(codes, thread_count=1), dtype=np.float64)


BOOSTERS = {
    "lightgbm": (_lightgbm, _lightgbm_predict),
    "xgboost": (_xgboost, _xgboost_predict),
    "catboost": (_catboost, _catboost_predict),
}
"""How a booster is made of its content, and how it predicts, by its library."""
