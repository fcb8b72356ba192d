"""What continued training is worth: more trees on new eras, against a full refit and against doing nothing.

    python -m benchmarks.continuedmarket --market FOLDER --work FOLDER [--kinds lightgbm,xgboost,catboost] [--eras 52]

In each expanding window a booster of 500 trees is fitted on all but the newest `--eras` eras (the base, as it would
stand since then); it is continued by the library's own `init_model` with a tenth as many trees, once on the new eras
alone and once on all eras; and a full refit learns all eras from the start. All are judged on the same later eras.
Lines are as those of `benchmarks.bagmarket`, compared with the full refit; CPU seconds are of the step that a week
would take. Each window that is done is kept in `--work`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bagmarket import EXAMPLE, SEED, Table, market_options
from benchmarks.networkmarket import Market, Values, lay_out
from benchmarks.ownprocess import in_child
from eraflow.disk.atomic import write_bytes, write_json
from eraflow.disk.digest import value_sha256
from eraflow.erastore.erareader import EraStore

TREES, MORE = 500, 50
PROCEDURES = ("full refit", "base, not trained again", "base and 50 trees on the new eras", "base and 50 on all eras")

Fit = Callable[[Any, Any, int, Any], Any]


def lightgbm_fit(x: Any, y: Any, trees: int, base: Any) -> Any:
    """A booster of LightGBM, or `base` with more trees."""
    import lightgbm

    told = {"learning_rate": 0.01, "max_depth": 5, "num_leaves": 31, "feature_fraction": 0.1, "seed": SEED}
    data = lightgbm.Dataset(x, y, params={"max_bin": 5, "verbose": -1})
    return lightgbm.train({**told, "num_threads": 1, "verbose": -1, "max_bin": 5}, data, trees, init_model=base)


def xgboost_fit(x: Any, y: Any, trees: int, base: Any) -> Any:
    """A booster of XGBoost, or `base` with more trees."""
    import xgboost

    told = {"eta": 0.01, "max_depth": 5, "colsample_bytree": 0.1, "tree_method": "hist", "max_bin": 8, "seed": SEED}
    data = xgboost.QuantileDMatrix(x, y, max_bin=8, nthread=1)
    return xgboost.train({**told, "base_score": 0.5, "nthread": 1}, data, trees, xgb_model=base)


def catboost_fit(x: Any, y: Any, trees: int, base: Any) -> Any:
    """A booster of CatBoost, or `base` with more trees."""
    import catboost

    model = catboost.CatBoostRegressor(
        iterations=trees, learning_rate=0.03, depth=5, rsm=0.2, border_count=5, random_seed=SEED, thread_count=1,
        verbose=False, allow_writing_files=False,
    )  # fmt: skip
    return model.fit(x, y, init_model=base)


FITS: dict[str, Fit] = {"lightgbm": lightgbm_fit, "xgboost": xgboost_fit, "catboost": catboost_fit}


def step(kind: str, store: Path, target: str, eras: Sequence[Sequence[str]], trees: Sequence[int]) -> list[float]:
    """Predictions of the last of `eras` by a model that learns each of the others in turn, with so many more trees."""
    opened = EraStore.open(store)
    model = None
    for learnt, count in zip(eras[:-1], trees, strict=True):
        x, y = opened.matrix(learnt), opened.column(target, learnt)
        known = np.isfinite(y)
        model = FITS[kind](np.asarray(x)[known], y[known], count, model)
    judged = np.asarray(opened.matrix(eras[-1]))
    if kind == "xgboost":
        import xgboost

        judged = xgboost.DMatrix(judged, nthread=1)
    if model is None:
        raise ValueError("there is nothing to learn")
    return [float(each) for each in model.predict(judged)]


def fitted(options: argparse.Namespace, market: Market, kind: str) -> tuple[list[Values], list[float]]:
    """Predictions of each procedure over all windows, and CPU seconds of all its steps, that of the base included."""
    found: list[list[Values]] = [[] for _ in PROCEDURES]
    seconds = [0.0] * len(PROCEDURES)
    for window in market.windows:
        old, new = window.train[: -options.eras], window.train[-options.eras :]
        plans = (
            ([window.train], [TREES]),
            ([old], [TREES]),
            ([old, new], [TREES, MORE]),
            ([old, window.train], [TREES, MORE]),
        )
        for place, (eras, trees) in enumerate(plans):
            what = [kind, market.target, eras, trees, list(window.test)]
            path = options.work / f"continued-{kind}-{value_sha256(what)[:16]}"
            if not path.with_suffix(".json").exists():
                told, cpu, _ = in_child(step, kind, market.store, market.target, [*eras, window.test], trees)
                write_bytes(path.with_suffix(".values"), np.array(told).tobytes())
                write_json(path.with_suffix(".json"), {"cpu_seconds": cpu})
            found[place].append(np.frombuffer(path.with_suffix(".values").read_bytes()))
            seconds[place] += float(json.loads(path.with_suffix(".json").read_text())["cpu_seconds"])
    return [np.concatenate(parts) for parts in found], seconds


def report(options: argparse.Namespace) -> None:
    """Fit what is not there, and print each line as soon as it is known."""
    market = lay_out(options)
    for kind in options.kinds:
        table = Table(market)
        values, seconds = fitted(options, market, kind)
        base = seconds[1]
        table.line(f"{kind}, {PROCEDURES[0]}, as {EXAMPLE}", values[0], seconds[0])
        for place in range(1, len(PROCEDURES)):
            table.line(f"{kind}, {PROCEDURES[place]}", values[place], max(seconds[place] - base, 0.0))


def main() -> None:
    """Read the options and report."""
    parser = market_options(__doc__)
    parser.add_argument("--eras", type=int, default=52, help="new eras that the base has not seen")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    report(options)


if __name__ == "__main__":
    main()
