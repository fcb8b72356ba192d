"""Per-era CORR and contribution: `groupby.apply` over numerai_tools, as in notebooks, against the vectorised scorer.

    python -m benchmarks.scoring [--eras 600] [--rows 5000] [--rounds 2]

Each measurement runs in a forked child of its own, so that its peak memory is its own; the two sides alternate.
CPU seconds are the figure to trust on a shared machine. `one call` prepares the target and the meta model and scores;
`prepared` is what each further set of predictions costs (search, blending, many models).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import pandas as pd
from numerai_tools.scoring import correlation_contribution, numerai_corr

from eraflow.scoring.metrics import PreparedContribution, PreparedCorr, SortedPredictions, era_contribution, era_corr
from eraflow.scoring.ranking import EraGroups

Scores = np.ndarray


@dataclass
class Data:
    """Generated eras: predictions with a little skill, a meta model, a target in five levels; all float64."""

    groups: EraGroups
    frame: pd.DataFrame

    def column(self, name: str) -> np.ndarray:
        return self.frame[name].to_numpy()


@dataclass
class Measured:
    """What one call cost and gave."""

    cpu: float
    wall: float
    peak_mb: float
    scores: Scores


def make_data(eras: int, rows: int) -> Data:
    rng = np.random.default_rng(1)
    n = eras * rows
    signal = rng.standard_normal(n)
    frame = pd.DataFrame(
        {
            "era": np.repeat([f"{i:04d}" for i in range(1, eras + 1)], rows),
            "prediction": signal + rng.standard_normal(n),
            "meta": signal + rng.standard_normal(n),
            "target": np.digitize(0.1 * signal + rng.standard_normal(n), [-1.64, -0.67, 0.67, 1.64]) / 4,
        },
        index=pd.RangeIndex(n, name="id"),
    )
    return Data(EraGroups.from_sizes([rows] * eras), frame)


def plain_corr(data: Data) -> Scores:
    by_era = data.frame.groupby("era")
    return by_era.apply(lambda d: numerai_corr(d[["prediction"]], d["target"]), include_groups=False).to_numpy()[:, 0]


def plain_contribution(data: Data) -> Scores:
    by_era = data.frame.groupby("era")
    scores = by_era.apply(
        lambda d: correlation_contribution(d[["prediction"]], d["meta"], d["target"]), include_groups=False
    )
    return scores.to_numpy()[:, 0]


def our_corr(data: Data) -> Scores:
    return era_corr(data.column("prediction"), data.column("target"), EraGroups(data.groups.offsets))


def our_contribution(data: Data) -> Scores:
    groups = EraGroups(data.groups.offsets)
    return era_contribution(data.column("prediction"), data.column("meta"), data.column("target"), groups)


def prepared_both(data: Data) -> Callable[[], Scores]:
    """Both scores of one set of predictions, the rest being prepared and the tables of quantiles warm."""
    corr = PreparedCorr(data.column("target"), data.groups)
    contribution = PreparedContribution(data.column("meta"), data.column("target"), data.groups)
    corr(data.column("meta"))

    def score() -> Scores:
        ordered = SortedPredictions(data.column("prediction"), data.groups)
        return np.concatenate([corr.of(ordered), contribution.of(ordered)])

    return score


def _measure_here(prepare: Callable[[], Callable[[], Scores]], pipe: Connection) -> None:
    warnings.simplefilter("ignore")
    call = prepare()
    cpu, wall = time.process_time(), time.perf_counter()
    scores = call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    pipe.send(Measured(cpu, wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, scores))


def measure(prepare: Callable[[], Callable[[], Scores]]) -> Measured:
    """Run `prepare()` and then its result, timed, in a forked child."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_measure_here, args=(prepare, there))
    child.start()
    there.close()
    measured = here.recv()
    child.join()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eras", type=int, default=600)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=2, help="how often the sides alternate; the best counts")
    options = parser.parse_args()
    data = make_data(options.eras, options.rows)
    calls: dict[str, Callable[[], Callable[[], Scores]]] = {
        "corr, groupby": lambda: lambda: plain_corr(data),
        "corr, one call": lambda: lambda: our_corr(data),
        "contribution, groupby": lambda: lambda: plain_contribution(data),
        "contribution, one call": lambda: lambda: our_contribution(data),
        "both, prepared": lambda: prepared_both(data),
    }
    runs: dict[str, list[Measured]] = {name: [] for name in calls}
    for _ in range(options.rounds):
        for name, prepare in calls.items():
            runs[name].append(measure(prepare))
    best = {name: min(measured, key=lambda m: m.cpu) for name, measured in runs.items()}
    _print_table(options, best)


def _print_table(options: argparse.Namespace, best: dict[str, Measured]) -> None:
    corr, contribution = best["corr, groupby"], best["contribution, groupby"]
    both = Measured(
        corr.cpu + contribution.cpu,
        corr.wall + contribution.wall,
        max(corr.peak_mb, contribution.peak_mb),
        np.concatenate([corr.scores, contribution.scores]),
    )
    against = {"corr, one call": corr, "contribution, one call": contribution, "both, prepared": both}
    print(f"{options.eras} eras x {options.rows} rows, best of {options.rounds}")
    print(f"{'':24}{'CPU s':>9}{'wall s':>9}{'CPU ratio':>11}{'max diff':>11}{'peak MiB':>10}")
    for name, found in best.items():
        plain = against.get(name)
        ratio = f"{plain.cpu / found.cpu:.0f}x" if plain else "1x"
        difference = f"{np.max(np.abs(plain.scores - found.scores)):.1e}" if plain else ""
        print(f"{name:24}{found.cpu:9.3f}{found.wall:9.3f}{ratio:>11}{difference:>11}{found.peak_mb:10.0f}")


if __name__ == "__main__":
    main()
