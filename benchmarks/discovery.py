"""Feature discovery: power and false discoveries where the truth is known, cost, and worth on a folder of real data.

    python -m benchmarks.discovery [--seeds 5] [--eras 300] [--rows 1000] [--features 600] [--signal 1.5] [--noise 3]
    python -m benchmarks.discovery --market FOLDER [--target target_a_20] [--models lightgbm] [--trees 500] [--folds 5]

Without `--market`: the sandbox's generated features with a truth of four kinds of feature groups. In the first, half of
the features carry a constant coefficient (`stable`), the others are correlated with them (`proxies`); in the second the
coefficient changes its sign at half-time (`flipping`); in the third features carry only the noise that overlapping
labels share, whose mean is zero, `--noise` times as much of it as the others (`noise`): such are risk factors that earn
nothing; the rest carries nothing (`nothing`). Each choice is compared with the same
number of features by plain mean correlation. `power` is the share of stable features found. The false-discovery rate
that `association` promises is that of noise and nothing; `invariant` should leave out flipping and proxies as well.
`later CORR` is a ridge on the chosen features over the last quarter of the eras, a purge after those used to choose.

With `--market`: the same model with all features, with each selection and with as many by plain correlation, out of
fold on purged windows, compared era by era with an overlap-robust interval (EWC, one-sided 95 % each way).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.discoverymarket import print_market
from benchmarks.ownprocess import in_child
from benchmarks.plantedworld import SIDES, World, top_correlated
from eraflow.data.eras import purge_weeks
from eraflow.discovery.association import corr_target, measure
from eraflow.discovery.selection import choose_features
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import overlap_weeks
from eraflow.settings.selection import SelectionSettings

METHODS: dict[str, dict[str, Any]] = {
    "association": {"method": "association"},
    "association, by": {"method": "association", "correction": "by"},
    "invariant": {"method": "invariant"},
}
RIDGE = 1e-3  # of the mean variance


# What is measured on it.


def later_corr(world: World, target: str, chosen: np.ndarray, train: tuple[str, ...], later: tuple[str, ...]) -> float:
    """Mean CORR over later eras of a ridge on the chosen features."""
    if not len(chosen):
        return 0.0
    xx, xy = np.zeros((len(chosen), len(chosen))), np.zeros(len(chosen))
    for era in train:
        x = world.matrix([era])[:, chosen].astype(np.float64) - 2
        x -= x.mean(axis=0)
        xx += x.T @ x / len(x)
        xy += x.T @ corr_target(world.column(target, [era])) / len(x)
    weights = np.linalg.solve(xx + RIDGE * np.trace(xx) / len(xx) * np.eye(len(xx)), xy)
    predictions = [(world.matrix([era])[:, chosen].astype(np.float64) - 2) @ weights for era in later]
    groups = EraGroups.from_sizes(len(part) for part in predictions)
    targets = np.concatenate([world.column(target, [era]) for era in later])
    return float(np.mean(era_corr(np.concatenate(predictions), targets, groups)))


def one_seed(options: argparse.Namespace, seed: int) -> dict[int, dict[str, dict[str, float]]]:
    """Horizon to the figures of one generated world."""
    world = World(options, seed)
    return {days: one_horizon(options, world, days) for days in options.days}


def one_horizon(options: argparse.Namespace, world: Any, days: int) -> dict[str, dict[str, float]]:
    """Figures of every method and of plain correlation with as many features."""
    target, overlap = f"target_ender_{days}", overlap_weeks(days)
    used = options.eras * 3 // 4
    train, later = world.eras[:used], world.eras[used + purge_weeks(days) :]
    began = time.process_time()
    associations = measure(world, target, train)
    measured = time.process_time() - began
    found: dict[str, dict[str, float]] = {}
    for name, over in METHODS.items():
        began = time.process_time()
        settings = SelectionSettings(least=2, false_discovery_rate=options.rate, **over)
        selection = choose_features(world, target, associations, settings, overlap_weeks=overlap)
        cpu = measured + time.process_time() - began
        own = np.flatnonzero(selection.order > 0)
        for label, chosen in ((name, own), (f"  as many by plain correlation ({name})", None)):
            picked = top_correlated(associations, len(own)) if chosen is None else chosen
            found[label] = figures(world, target, picked, train, later)
            found[label]["CPU s"] = cpu if chosen is not None else measured
    everything = np.arange(len(world.features))
    found["all features"] = figures(world, target, everything, train, later)
    return found


def figures(world: World, target: str, chosen: np.ndarray, train: Any, later: Any) -> dict[str, float]:
    sides = np.bincount(world.side[chosen], minlength=len(SIDES))
    share = sides / max(len(chosen), 1)
    return {
        "chosen": len(chosen),
        "power": sides[0] / np.sum(world.side == 0),
        **dict(zip(SIDES[1:], share[1:], strict=True)),
        "FDR mean": share[3] + share[4],
        "FDR stable": 1 - share[0] if len(chosen) else 0.0,
        "later CORR": later_corr(world, target, chosen, train, later),
    }


def print_truth_known(options: argparse.Namespace) -> None:
    worlds = [in_child(one_seed, options, seed)[0] for seed in range(options.seeds)]
    for days in options.days:
        runs = [world[days] for world in worlds]
        used = options.eras * 3 // 4
        print(
            f"\n{days}-day target: {used} eras x {options.rows} rows x {options.features} features to choose from, "
            f"signal {options.signal:g}, noise {options.noise:g}, rate {options.rate:g}; "
            f"mean (standard deviation) over {options.seeds} seeds"
        )
        names = list(next(iter(runs[0].values())))
        print(f"{'':46}" + "".join(f"{name:>16}" for name in names))
        for label in runs[0]:
            cells = []
            for name in names:
                values = [run[label][name] for run in runs if name in run[label]]
                digits = 1 if name in ("chosen", "CPU s") else 4 if name == "later CORR" else 3
                cells.append(f"{np.mean(values):.{digits}f} ({np.std(values):.{digits}f})" if values else "")
            print(f"{label:46}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


# What it costs.


def plain_associations(path: Path, names: list[str]) -> np.ndarray:
    """The notebooks' way: a frame, grouped by era, correlated with the target."""
    import pandas as pd

    frame = pd.read_parquet(path)
    frame["powered"] = frame.groupby("era")["target_ender_20"].transform(lambda v: corr_target(v.to_numpy(float)))
    by_era = frame.groupby("era")
    return by_era.apply(lambda d: d[names].corrwith(d["powered"]), include_groups=False).to_numpy()


def stored_associations(folder: Path) -> np.ndarray:
    store = EraStore.open(folder)
    return measure(store, "target_ender_20", store.eras).values


def print_cost(options: argparse.Namespace) -> None:
    """Associations era by era: pandas as in the notebooks, against ours from an era store on disk."""
    rng = np.random.default_rng(1)
    eras, rows, width = options.cost
    names = [f"feature_{place}" for place in range(width)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.parquet"
        flat = rng.integers(0, 5, (eras * rows, width), dtype=np.int8)
        y = np.digitize(rng.standard_normal(eras * rows), [-1.64, -0.67, 0.67, 1.64]) / 4
        pl.DataFrame(
            {
                "id": [f"n{number:015x}" for number in range(len(y))],
                "era": np.repeat([f"{era:04d}" for era in range(1, eras + 1)], rows),
                "data_type": ["train"] * len(y),
                **{name: flat[:, place] for place, name in enumerate(names)},
                "target_ender_20": y.astype(np.float32),
            }
        ).write_parquet(path)
        del flat
        write_era_store([path], names, ["target_ender_20"], Path(folder) / "store")
        results = {
            "pandas corrwith by era": in_child(plain_associations, path, names),
            "from the era store": in_child(stored_associations, Path(folder) / "store"),
        }
    print(f"\nassociations of {width} features in {eras} eras x {rows} rows, each in a process of its own")
    print(f"{'':28}{'CPU s':>9}{'peak MiB':>10}{'max diff':>12}")
    reference = results["pandas corrwith by era"][0]
    for name, (values, cpu, peak) in results.items():
        print(f"{name:28}{cpu:9.2f}{peak:10.0f}{np.max(np.abs(values - reference)):12.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--eras", type=int, default=300, help="three quarters of them are used to choose")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--features", type=int, default=600)
    parser.add_argument("--signal", type=float, default=1.5)
    parser.add_argument("--noise", type=float, default=3.0, help="of the features that carry noise only")
    parser.add_argument("--rate", type=float, default=0.1, help="false-discovery rate")
    parser.add_argument("--days", type=int, nargs="+", default=[20, 60])
    parser.add_argument("--cost", type=int, nargs=3, default=[40, 3000, 740], metavar=("ERAS", "ROWS", "FEATURES"))
    parser.add_argument("--market", type=Path, help="folder in tournament layout")
    parser.add_argument("--target", default="target_a_20")
    parser.add_argument("--feature-set", default=None, help="a set of features.json; all sets when left out")
    parser.add_argument("--models", nargs="+", default=["lightgbm"])
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--most", type=int, default=None, help="budget of the selections")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.market is not None:
        print_market(options)
        return
    print_cost(options)
    print_truth_known(options)


if __name__ == "__main__":
    main()
