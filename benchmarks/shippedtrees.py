"""The trees of an uploaded model: sets of rows against LightGBM's own prediction, up to 90,000 trees.

python -m benchmarks.shippedtrees          three models of 30,000 trees of 31 leaves, and deep trees by extrapolation

A real model is trained for `TRAINED` trees; it stands in a large one five times, each time with its columns in another
order, so that no table and no set of rows is warm because it was just used. One thread, processor seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np

from models.delivery.lightgbmtrees import tree_arrays
from models.delivery.treearrays import tree_predictions

ROWS, FEATURES = 7_000, 3_555
TRAINED, TIMES, MODELS = 6_000, 5, 3
DEEP_TREES, DEEP_FEATURES = 64, 400
SEED = 5
COMMON = {"objective": "regression", "max_bin": 7, "min_data_in_bin": 1, "num_threads": 1, "verbose": -1}


def trained(features: int, trees: int, rows: int, **params: Any) -> lightgbm.Booster:
    """A booster on codes and a target that some of the features decide."""
    rng = np.random.default_rng(SEED)
    codes = rng.integers(0, 5, (rows, features), dtype=np.int8)
    target = codes[:, :50] @ rng.normal(size=50) / 100 + rng.normal(size=rows) * 0.3
    given = {**COMMON, **params}
    return lightgbm.train(given, lightgbm.Dataset(codes, target, params=given), trees)


def repeated(arrays: Mapping[str, Any], times: int, seed: int) -> dict[str, Any]:
    """The trees of a model several times over, the columns in another order each time."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(arrays["features"])) for _ in range(times)]
    trees, above, depths = len(arrays["values"]), 0, []
    for nodes in arrays["depths"]:
        depths.append(
            {
                "tree": np.concatenate([nodes["tree"] + trees * at for at in range(times)]),
                "feature": np.concatenate([order[nodes["feature"]] for order in orders]),
                "level": np.tile(nodes["level"], times),
                "parent": np.concatenate([nodes["parent"] + above * at for at in range(times)]),
                "right": np.tile(nodes["right"], times),
            }
        )
        above = len(nodes["tree"])
    return {"features": arrays["features"], "values": np.tile(arrays["values"], (times, 1)), "depths": depths}


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of this process, and what came out."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def compared(name: str, booster: lightgbm.Booster, features: int) -> dict[str, Any]:
    """Print one comparison; gives the arrays of the trees.

    Raises:
        ValueError: the trees cannot be computed by sets of rows.
    """
    codes = np.random.default_rng(SEED + 1).integers(0, 5, (ROWS, features), dtype=np.int8)
    arrays = tree_arrays(booster.model_to_string())
    if arrays is None:
        raise ValueError(f"{name}: these trees are left to the library")
    leaves = 1 + sum(len(nodes["tree"]) for nodes in arrays["depths"]) / len(arrays["values"])
    ours, mine = seconds(lambda: tree_predictions(arrays, codes))
    theirs, reference = seconds(lambda: booster.predict(codes, num_threads=1))
    apart = np.abs(mine - reference).max()
    print(
        f"{name}: {len(arrays['values'])} trees of {leaves:.0f} leaves: LightGBM {theirs:.2f} s, "
        f"sets of rows {ours:.2f} s, {theirs / ours:.1f} times; largest difference {apart:.1e}",
        flush=True,
    )
    return arrays


def main() -> None:
    """Print the figures."""
    shallow = trained(FEATURES, TRAINED, 3_000, max_depth=5, num_leaves=31, learning_rate=0.001, feature_fraction=0.05)
    arrays = compared("depth 5", shallow, FEATURES)
    codes = np.random.default_rng(SEED + 2).integers(0, 5, (ROWS, FEATURES), dtype=np.int8)
    total = 0.0
    for number in range(MODELS):
        model = repeated(arrays, TIMES, number)
        took, _ = seconds(lambda model=model: tree_predictions(model, codes))
        total += took
        print(f"model {number + 1}: {len(model['values'])} trees in {took:.2f} s", flush=True)
    print(f"{MODELS * TIMES * TRAINED} trees in {total:.1f} s", flush=True)
    deep = trained(DEEP_FEATURES, DEEP_TREES, 12_000, max_depth=10, num_leaves=1_024, min_data_in_leaf=4)
    compared("depth 10", deep, DEEP_FEATURES)


if __name__ == "__main__":
    main()
