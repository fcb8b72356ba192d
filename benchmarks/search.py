"""A search for LightGBM parameters: as notebooks do it, against the product's, over several seeds.

    python -m benchmarks.search                           # 1 seed, 20 trials: a glance
    python -m benchmarks.search --seeds 5 --trials 60     # the full size

Both sides use the same generated data, purged folds, space, sampler, seeds and number of trees, one thread, and
maximise mean CORR alone. `naive` makes a new Dataset for each fold of each trial from a float32 pandas frame, trains it
to the end with the library's defaults and scores with numerai_tools through groupby. `ours` shares binned rows and
prepared scores between trials, looks at models while they grow and gives up those that fall behind; it also predicts
training eras for the gap, and writes every trial to a storage that survives kills.

The winners of both are then scored by one piece of code: `folds` on the eras of the search, `holdout` on later eras
that neither saw. CPU seconds are counted after the imports, reading the data and, for ours, writing the era store
included. Peak memory is that of each process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.aims import note
from benchmarks.measured import cpu_seconds, peak_mib

TARGET = "target_ender_20"
KEY = "benchmark"
RATE = 0.05


def cut_of(eras: list[str]) -> Any:
    from eraflow.settings.search import SearchSettings
    from eraflow.settings.windows import WindowSettings
    from models.search.folds import search_eras

    first_judged = f"{int(eras[-1]) + 9:04d}"  # nothing is judged after them here
    search = SearchSettings(folds=3)
    return search_eras(eras, eras, first_judged, horizons=[20], search=search, windows=WindowSettings())


def space_of(cut: Any, rows_an_era: int, features: int, trees: int) -> Any:
    from models.search.space import space_for

    rows = len(cut.folds[-1].train) * rows_an_era
    return space_for("lightgbm", {"num_iterations": trees, "learning_rate": RATE}, rows=rows, features=features)


def given(trees: int) -> dict[str, Any]:
    return {"num_iterations": trees, "learning_rate": RATE}


def names_of(folder: Path) -> list[str]:
    return json.loads((folder / "features.json").read_text())["feature_sets"]["all"]


def naive_search(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Optuna as in the notebooks: everything anew in every fold of every trial."""
    import lightgbm as lgb
    import optuna
    import pandas as pd
    from numerai_tools.scoring import numerai_corr

    from models.search.sampling import PlacedSampler, quiet_optuna

    quiet_optuna()
    names = names_of(folder)
    frame = pd.read_parquet(folder / "train.parquet", columns=["era", TARGET, *names]).astype(
        dict.fromkeys(names, "float32")
    )
    cut = cut_of(sorted(frame["era"].unique()))
    space = space_of(cut, options.rows, len(names), options.trees)

    def objective(trial: optuna.Trial) -> float:
        params = space.effective(space.suggest(trial)) if trial.number else {}
        scores = []
        for fold in cut.folds:
            train, test = frame[frame["era"].isin(fold.train)], frame[frame["era"].isin(fold.test)].copy()
            settings = {**BASE, **given(options.trees), **params, "num_threads": 1, "verbosity": -1}
            settings["seed"] = options.seed
            booster = lgb.train(settings, lgb.Dataset(train[names], label=train[TARGET]))
            test["prediction"] = booster.predict(test[names], num_threads=1)
            by_era = test.groupby("era").apply(lambda d: numerai_corr(d[["prediction"]], d[TARGET]))
            scores.append(float(by_era["prediction"].mean()))
        trial.set_user_attr("params", params)
        return mean(scores)

    study = optuna.create_study(direction="maximize", sampler=PlacedSampler(options.seed))
    study.enqueue_trial(space.defaults())
    study.optimize(objective, n_trials=options.trials)
    first = [trial.value for trial in study.trials[:5]]
    return {"params": study.best_trial.user_attrs["params"], "first": first, "given_up": 0}


BASE = {"max_depth": 5, "num_leaves": 31, "feature_fraction": 0.1}  # the example settings


def our_search(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    from eraflow.erastore.erawriter import write_era_store
    from eraflow.machine.plan import Plan
    from eraflow.settings.search import SearchSettings
    from models.search.best import common_value
    from models.search.job import Learnt
    from models.search.scored import Sides
    from models.search.study import Search, opened, run_trials
    from models.search.trial import Bench

    names = names_of(folder)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        store = write_era_store([folder / "train.parquet"], names, [TARGET], home / "store")
        cut = cut_of(list(store.eras))
        space = space_of(cut, options.rows, len(names), options.trees)
        job = Search(
            name=KEY, family=KEY, trials=options.trials, seed=options.seed, gap_penalty=0.0, prune=not options.no_prune,
            patience_seconds=SearchSettings().patience_minutes * 60, storage=None, home=home,
        )  # fmt: skip
        with opened(job, space) as study:
            bench = Bench(
                store, cut.folds, Learnt(TARGET), Sides(TARGET), space,
                seed=options.seed, plan=Plan(threads=1), scratch=home,
            )  # fmt: skip
            done = run_trials(study, job, bench, log=lambda _: None, progress=lambda *_: None)
            bench.close()
    complete = [one for one in done if one.scores is not None]
    best = max(complete, key=lambda one: common_value(one, 0.0))
    first = [None if one.scores is None else one.scores.value(0.0) for one in done[:5]]
    return {"params": dict(best.params), "first": first, "given_up": len(done) - len(complete)}


WAYS = {"naive": naive_search, "ours": our_search}


def rescored(folder: Path, params: dict[str, Any], options: argparse.Namespace) -> tuple[float, float]:
    """Mean CORR on the folds of the search, and on the eras after them; the same code for both sides."""
    import numpy as np

    from eraflow.erastore.erareader import EraStore
    from eraflow.erastore.erawriter import write_era_store
    from eraflow.machine.plan import Plan
    from eraflow.scoring.metrics import era_corr
    from eraflow.scoring.ranking import EraGroups
    from models.kinds import make_model
    from models.training.trainer import training_view

    place = folder / "store"
    store = EraStore.open(place) if place.exists() else write_era_store(
        [folder / "train.parquet"], names_of(folder), [TARGET], place
    )  # fmt: skip
    cut = cut_of(list(store.eras))

    def score(window: Any) -> float:
        model = make_model("lightgbm", {**given(options.trees), **params})
        x, y = training_view(store, TARGET, window.train)
        model.fit(x, y, plan=Plan(threads=2), seed=options.seed)
        predictions = model.predict(store.matrix(window.test), plan=Plan(threads=2))
        groups = EraGroups(store.offsets(window.test))
        return float(np.nanmean(era_corr(predictions, store.column(TARGET, window.test), groups)))

    return mean(score(fold) for fold in cut.folds), score(cut.confirmation)


def make_data(folder: Path, options: argparse.Namespace) -> None:
    """Codes 0 to 4; a target of weak lines and pairs, of coefficients that last five eras, and of chance."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(options.data_seed)
    eras, rows, features = options.eras, options.rows, options.features
    active, pairs = min(30, features), 15
    lines, both = rng.normal(size=active), rng.normal(size=pairs)
    passing = np.array([np.convolve(rng.normal(size=eras + 4), np.ones(5) / 5**0.5, "valid") for _ in range(active)]).T
    x = rng.integers(0, 5, (eras * rows, features), dtype=np.int8)
    z = (x[:, :active].astype(np.float64) - 2) / 2**0.5
    drawn = z @ lines / np.linalg.norm(lines)
    drawn += (z[:, :pairs] * z[:, pairs : 2 * pairs]) @ both / np.linalg.norm(both) if active == 2 * pairs else 0.0
    noise = np.einsum("ij,ij->i", z, np.repeat(passing, rows, axis=0)) / active**0.5
    latent = 0.12 * drawn + 0.2 * noise + rng.normal(size=len(x))
    share = latent.reshape(eras, rows).argsort(axis=1).argsort(axis=1).ravel() / rows
    names = [f"feature_{number:04d}" for number in range(features)]
    frame = pl.DataFrame(
        {
            "id": [f"n{number:015x}" for number in range(len(x))],
            "era": [f"{era + 1:04d}" for era in range(eras) for _ in range(rows)],
            "data_type": ["train"] * len(x),
            **{name: x[:, column] for column, name in enumerate(names)},
            TARGET: (np.digitize(share, [0.05, 0.25, 0.75, 0.95]) / 4).astype(np.float32),
        }
    )
    frame.write_parquet(folder / "train.parquet")
    (folder / "features.json").write_text(json.dumps({"feature_sets": {"all": names}}))


def child(way: str, folder: str, options: argparse.Namespace) -> None:
    import lightgbm
    import optuna
    import pandas
    from numerai_tools.scoring import numerai_corr

    imported = (lightgbm, optuna, pandas, numerai_corr)
    warnings.simplefilter("ignore")
    before, wall = cpu_seconds(), time.perf_counter()
    found = WAYS[way](Path(folder), options)
    used, wall = cpu_seconds() - before, time.perf_counter() - wall
    print(json.dumps({**found, "cpu": used, "wall": wall, "peak": peak_mib(), "imported": len(imported)}))


def measure(way: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a fresh process."""
    import os

    command = [sys.executable, "-m", "benchmarks.search", "--child", way, str(folder), *_forwarded(options)]
    quiet = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        raise RuntimeError(f"{way} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _forwarded(options: argparse.Namespace) -> list[str]:
    names = ("seed", "trials", "trees", "rows", "eras", "features")
    return [text for name in names for text in (f"--{name}", str(getattr(options, name)))] + (
        ["--no-prune"] if options.no_prune else []
    )


def compare(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """One seed: both sides, their winners scored alike."""
    found = {way: measure(way, folder, options) for way in WAYS}
    scores = {way: rescored(folder, found[way]["params"], options) for way in WAYS}
    pairs = zip(found["naive"]["first"], found["ours"]["first"], strict=False)
    difference = max((abs(a - b) for a, b in pairs if b is not None), default=float("nan"))
    for way, one in found.items():
        print(
            f"{options.seed:>4} {way:<7}{one['cpu']:>9.1f}{one['wall']:>9.1f}{one['peak']:>9.0f}{one['given_up']:>9}"
            f"{scores[way][0]:>9.4f}{scores[way][1]:>9.4f}",
            flush=True,
        )
    return {
        "cpu": found["naive"]["cpu"] / found["ours"]["cpu"],
        "folds": scores["ours"][0] / scores["naive"][0],
        "holdout": scores["ours"][1] / scores["naive"][1],
        "difference": difference,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--trees", type=int, default=120)
    parser.add_argument("--eras", type=int, default=160)
    parser.add_argument("--rows", type=int, default=300, help="rows of an era")
    parser.add_argument("--features", type=int, default=120)
    parser.add_argument("--data-seed", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="the first seed of the searches")
    parser.add_argument("--no-prune", action="store_true", help="what sharing alone gives")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.child:
        child(*options.child, options)
        return
    print(
        f"{options.seeds} seed(s) of {options.trials} trials (the full size is --seeds 5 --trials 60); {options.eras} "
        f"eras x {options.rows} rows x {options.features} features, {options.trees} trees, one thread"
    )
    print(f"{'seed':>4} {'way':<7}{'CPU s':>9}{'wall s':>9}{'peak MiB':>9}{'given up':>9}{'folds':>9}{'holdout':>9}")
    with tempfile.TemporaryDirectory() as place:
        make_data(Path(place), options)
        results = []
        for seed in range(options.seed, options.seed + options.seeds):
            results.append(compare(Path(place), argparse.Namespace(**{**vars(options), "seed": seed})))
    for name, words in (
        ("cpu", "CPU of naive over ours"),
        ("folds", "best score of ours over naive, on the folds"),
        ("holdout", "the same on eras that neither saw"),
    ):
        values = [one[name] for one in results]
        spread = f", standard deviation {stdev(values):.3f}" if len(values) > 1 else ""
        shown = ", ".join(f"{value:.3f}" for value in values)
        print(f"{words}: mean {mean(values):.3f}{spread} ({shown})")
    faster, score = mean(one["cpu"] for one in results), mean(one["folds"] for one in results)
    note(
        f"search, {options.seeds} seed(s) of {options.trials} rounds",
        "1.7 times less CPU at 99 % of the best score",
        f"{faster:.2f} times at {100 * score:.1f} %",
        faster >= 1.7 and score >= 0.99,
    )
    worst = max(one["difference"] for one in results)
    print(f"max difference between the scores of the first trials, which both sides fit alike: {worst:.1e}")


if __name__ == "__main__":
    main()
