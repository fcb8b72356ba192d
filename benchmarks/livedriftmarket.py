"""How often an ordinary era is called unlike before, and which breaks of a feature are found, on a folder of real data.

    python -m benchmarks.livedriftmarket --market FOLDER [--past 260] [--eras 600] [--rate 0.01]

Each of the last `--eras` eras is taken for the live one and compared with the `--past` eras before it. In every seventh
of them one feature, drawn by chance, is broken in each of five ways.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from eraflow.discovery.livedrift import Codes, behaviour, directions, unlike_before

Break = Callable[[Codes, np.random.Generator], Codes]
BREAKS: dict[str, Break] = {
    "turned round": lambda codes, rng: 4 - codes,
    "constant": lambda codes, rng: np.full_like(codes, 2),
    "its rows in another order": lambda codes, rng: rng.permutation(codes),
    "shifted": lambda codes, rng: np.minimum(codes + 1, 4),
    "half missing": lambda codes, rng: np.where(rng.random(len(codes)) < 0.5, 2, codes).astype(np.int8),
}
EVERY = 7
ROWS_OF_AN_ERA = 100


def eras_of(folder: Path, features: list[str]) -> dict[str, Codes]:
    """int8[rows, features] by era, in order."""
    found: dict[str, Codes] = {}
    for name in ("train.parquet", "validation.parquet"):
        frame = pl.read_parquet(folder / name, columns=["era", *features])
        for (era,), rows in frame.group_by(["era"], maintain_order=True):
            found[str(era)] = rows.select(features).cast(pl.Int8).fill_null(2).to_numpy()
    return found


def main() -> None:
    """Print the rate, and how many of each break are found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, required=True, help="folder in tournament layout")
    parser.add_argument("--past", type=int, default=260)
    parser.add_argument("--eras", type=int, default=600)
    parser.add_argument("--rate", type=float, default=0.01)
    options = parser.parse_args()
    features = json.loads((options.market / "features.json").read_text())["feature_sets"]["all"]
    codes = list(eras_of(options.market, features).values())[-options.eras - options.past :]
    sample = [each[:: max(len(each) // ROWS_OF_AN_ERA, 1)] for each in codes[: options.past : 4]]
    along = directions(np.concatenate(sample))
    figures = np.stack([behaviour(each, along) for each in codes])
    rng, named, found = np.random.default_rng(0), 0, dict.fromkeys(BREAKS, 0)
    for at in range(options.past, len(codes)):
        past, live = figures[at - options.past : at], codes[at]
        named += bool(unlike_before(past, figures[at], len(live), features, options.rate))
        if (at - options.past) % EVERY:
            continue
        for name, spoil in BREAKS.items():
            place, broken = int(rng.integers(len(features))), live.copy()
            broken[:, place] = spoil(broken[:, place], rng)
            told = unlike_before(past, behaviour(broken, along), len(live), features, options.rate)
            found[name] += any(each.feature == features[place] for each in told)
    judged = len(codes) - options.past
    tries = -(-judged // EVERY)
    print(f"{judged} eras, each against {options.past} before it, {len(features)} features")
    print("; ".join(f"{name} {count} of {tries}" for name, count in found.items()))
    print(f"called unlike: {named / judged:.1%} of the eras, stated {options.rate:.1%}")


if __name__ == "__main__":
    main()
