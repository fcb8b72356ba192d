"""Full size in a budget: from parquet to trained boosters under 12,000 MiB, shown by a line through smaller sizes.

    python -m benchmarks.full                                  # 170,000 to 1,360,000 rows x 3,555 features: an hour
    python -m benchmarks.full --rows 20000 40000 80000 --features 500
    python -m benchmarks.full --whole                          # 2,700,000 rows too, beside what the line foretold

One parquet file (random codes, twenty eras a row group) is written once; each size takes its first eras. For each size
the real stages run in a child under the watch with the budget as its ceiling: the era store is written, then LightGBM,
XGBoost and CatBoost are each trained by `models.training.train:train_model` (one fold, out-of-fold predictions of
half of the eras, and the fit on everything for live) with the plan that the planner would choose for 2.7 million rows.
The figure is the watch's: memory of the whole process tree that the kernel cannot drop (anonymous, shared, swap).

Few trees are enough, because memory does not grow with them; the smallest size is trained once more with ten times as
many to show it. A least squares line through the peaks gives bytes for each value, and its 95 % prediction interval at
2.7 million rows.

Each result is kept in `results.json` as soon as it is there: an interrupted run goes on, other arguments begin anew.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from benchmarks.aims import note
from benchmarks.fullstage import FULL_TARGET, feature_names
from eraflow.data.eras import Window
from eraflow.data.membereras import Member
from eraflow.disk.atomic import atomic_path, remove_leftovers, write_json
from eraflow.erastore.erareader import EraStore
from eraflow.machine.estimate import Estimate, Need, fitting
from eraflow.machine.failures import StageError
from eraflow.machine.isolate import IsolatedResult, run_isolated
from eraflow.machine.job import as_json
from eraflow.machine.plan import Plan
from models.training.job import TrainJob

FULL_ROWS = 2_700_000
ROWS_AN_ERA = 2_500
GROUP_ROWS = 20 * ROWS_AN_ERA
"""Rows of a row group. What a footer says of a column in a group takes over a kilobyte of memory: with a row group an
era, the footer alone of the full size would be gigabytes."""
SIZES = (170_000, 340_000, 680_000, 1_360_000)
FEATURES = 3_555
BUDGET_MB = 12_000
KINDS = ("lightgbm", "xgboost", "catboost")
TREES = 4
USUAL_TREES = 2_000
MORE_TREES = 10
PURGE = 8
DISK_BYTES = 3
"""Parquet, era store, and a learner's files in its scratch folder, for each value."""
LEAST_ROWS = 20 * ROWS_AN_ERA
FOLDER = Path(".eraflow/bench-full")


@dataclass(frozen=True)
class Bench:
    """What is run, and where its results lie."""

    folder: Path
    features: int
    trees: int
    budget_mb: int
    threads: int

    @property
    def settings(self) -> dict[str, Any]:
        """Results of other settings are not taken for these."""
        return {"features": self.features, "trees": self.trees, "budget_mb": self.budget_mb, "threads": self.threads}

    def results(self) -> dict[str, dict[str, float]]:
        """What is known from this run or the one before it was interrupted."""
        try:
            kept = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
            return dict(kept["results"]) if kept["settings"] == self.settings else {}
        except (OSError, ValueError, KeyError):
            return {}

    def lacks(self, sizes: Sequence[int], kinds: Sequence[str], smallest: int) -> bool:
        """Whether anything of these sizes is left to be measured; the smallest of all has more trees too."""
        wanted = {f"{rows}-{name}" for rows in sizes for name in ("store", *kinds)}
        if smallest in sizes:
            wanted |= {f"{smallest}-{kind}-{MORE_TREES * self.trees}-trees" for kind in kinds}
        return not wanted <= self.results().keys()

    def keep(self, name: str, found: Mapping[str, float]) -> None:
        """Add one result to the file."""
        write_json(
            self.folder / "results.json",
            {"settings": self.settings, "results": {**self.results(), name: dict(found)}},
        )


def write_parquet(path: Path, rows: int, features: int) -> None:
    """A tournament file of random codes and a target that depends on two of them; a row group at a time in memory."""
    names = feature_names(features)
    schema = pa.schema(
        [("id", pa.string()), ("era", pa.string()), ("data_type", pa.string())]
        + [(name, pa.int8()) for name in names]
        + [(FULL_TARGET, pa.float32())]
    )
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for start in range(0, rows, GROUP_ROWS):
            count = min(GROUP_ROWS, rows - start)
            rng = np.random.default_rng([1, start])
            codes = rng.integers(0, 5, (features, count), dtype=np.int8)
            y = (codes[0] + codes[1]) / 8 + rng.normal(size=count)
            ids = [f"n{start + row:015x}" for row in range(count)]
            eras = [f"{1 + (start + row) // ROWS_AN_ERA:04d}" for row in range(count)]
            columns = [ids, eras, ["train"] * count]
            table = pa.table([*columns, *codes, y.astype(np.float32)], schema=schema)
            writer.write_table(table, row_group_size=count)


def full_need(kind: str, rows: int, features: int, trees: int = USUAL_TREES) -> Need:
    """The size of the work, as the tasks reckon it."""
    eras = rows // ROWS_AN_ERA
    return Need(kind, rows=rows, columns=features, eras=eras, judged=rows // 2, trees=trees)


def full_plan(kind: str, features: int, budget_mb: int, threads: int) -> tuple[Plan, Estimate]:
    """What the planner chooses for the full size."""
    return fitting(full_need(kind, FULL_ROWS, features), Plan(threads=threads), budget_mb=budget_mb)


def measured(bench: Bench, name: str, target: str, kwargs: Mapping[str, Any]) -> dict[str, float]:
    """One stage in a child under the watch, unless its result is kept already; -1 as peak: it passed the budget."""
    kept = bench.results().get(name)
    if kept is not None:
        return kept
    folder = bench.folder / "stages" / name
    shutil.rmtree(folder, ignore_errors=True)
    before = _children_cpu()
    try:
        done: IsolatedResult = run_isolated(
            target, {**kwargs, "out": str(folder)}, memory_mb=bench.budget_mb, timeout_s=None, log=_quiet, folder=folder
        )
        found = {"peak_mb": done.peak_mb, "rss_mb": done.peak_rss_mb, "seconds": done.seconds}
    except StageError as error:
        print(f"{name}: {error}")
        found = {"peak_mb": -1.0, "rss_mb": -1.0, "seconds": 0.0}
    found["cpu"] = _children_cpu() - before
    bench.keep(name, found)
    return found


def _quiet(line: str) -> None:
    """The stages' own lines are in their logs."""


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_size(
    bench: Bench, rows: int, parquet: Path, kinds: Sequence[str], smallest: int
) -> dict[str, dict[str, float]]:
    """All stages of one size; its store is removed when they are done."""
    eras = [f"{1 + number:04d}" for number in range(rows // ROWS_AN_ERA)]
    plan = Plan(threads=bench.threads).as_dict()
    place = bench.folder / "stages" / f"{rows}-store"
    if bench.lacks([rows], kinds, smallest) and not (place / "store" / "layout.json").exists():
        _forget(bench, f"{rows}-store")
    given = {"parquet": str(parquet), "features": bench.features, "eras": eras, "plan": plan}
    found = {"store": measured(bench, f"{rows}-store", "benchmarks.fullstage:make_store", given)}
    for kind in kinds:
        found[kind] = train(bench, rows, kind, place / "store", bench.trees)
        show_row(rows, bench.features, kind, found[kind])
    return found


def train(bench: Bench, rows: int, kind: str, store: Path, trees: int) -> dict[str, float]:
    """The training stage of one learner with the plan of the full size."""
    name = f"{rows}-{kind}" if trees == bench.trees else f"{rows}-{kind}-{trees}-trees"
    kept = bench.results().get(name)
    if kept is not None:
        return kept
    eras = EraStore.open(store).eras
    half = len(eras) // 2
    plan, _ = full_plan(kind, bench.features, bench.budget_mb, bench.threads)
    window = Window(0, eras[: half - PURGE], eras[half:], PURGE)
    member = Member(kind, kind, {"n_estimators": trees}, FULL_TARGET, (window,), eras)
    given = {"job": as_json(TrainJob(member=member, seed=1, store=store)), "plan": plan.as_dict()}
    found = measured(bench, name, "models.training.train:train_model", given)
    shutil.rmtree(bench.folder / "stages" / name, ignore_errors=True)
    return found


def _forget(bench: Bench, name: str) -> None:
    """A store that is gone has to be made again."""
    kept = bench.results()
    kept.pop(name, None)
    write_json(bench.folder / "results.json", {"settings": bench.settings, "results": kept})


@dataclass(frozen=True)
class Line:
    """A least squares line through peaks (MiB) over values.

    Attributes:
        slope: bytes for each value.
        intercept: MiB.
        error: standard error of the residuals, MiB.
    """

    slope: float
    intercept: float
    error: float
    values: tuple[float, ...]

    @classmethod
    def through(cls, values: Sequence[float], peaks: Sequence[float]) -> Line:
        """At least three points."""
        x, y = np.array(values), np.array(peaks)
        fit = stats.linregress(x, y)
        residuals = y - fit.intercept - fit.slope * x
        error = float(np.sqrt(np.square(residuals).sum() / (len(x) - 2)))
        return cls(float(fit.slope) * 2**20, float(fit.intercept), error, tuple(values))

    def at(self, values: float) -> tuple[float, float]:
        """The line there and half of the 95 % prediction interval, MiB."""
        x = np.array(self.values)
        spread = 1 + 1 / len(x) + (values - x.mean()) ** 2 / np.square(x - x.mean()).sum()
        half = float(stats.t.ppf(0.975, len(x) - 2)) * self.error * float(np.sqrt(spread))
        return self.intercept + self.slope * values / 2**20, half


def show_row(rows: int, features: int, kind: str, found: Mapping[str, float]) -> None:
    """One measured stage."""
    per_value = found["peak_mb"] * 2**20 / (rows * features)
    print(
        f"{rows:>10,} {kind:<10}{found['peak_mb']:>9.0f} MiB{per_value:>7.2f} B/value "
        f"{found['rss_mb']:>8.0f} MiB resident{found['seconds']:>8.0f} s{found['cpu']:>8.0f} CPU s",
        flush=True,
    )


def show_line(bench: Bench, kind: str, sizes: Sequence[int], whole: float | None) -> None:
    """The fit of one kind and what it says of the full size."""
    results = bench.results()
    points = [(rows * bench.features, results[f"{rows}-{kind}"]["peak_mb"]) for rows in sizes if rows != FULL_ROWS]
    points = [point for point in points if point[1] > 0]
    if len(points) < 3:
        print(f"{kind:<10} fewer than three sizes were measured: no line")
        return
    line = Line.through(*zip(*points, strict=True))
    expected, half = line.at(FULL_ROWS * bench.features)
    fits = "fits" if expected + half <= bench.budget_mb else "NOT SHOWN TO FIT"
    reckoned = ""
    if kind in KINDS:
        reckoned = (
            f"; the planner reckons {full_plan(kind, bench.features, bench.budget_mb, bench.threads)[1].ram_mb:,.0f}"
        )
    seen = "" if whole is None else f"; measured {whole:,.0f} MiB ({whole / expected:.2f} of the line)"
    if kind in KINDS:
        note(
            f"{kind} trained at {FULL_ROWS:,} x {bench.features:,} (line through {len(points)} sizes)",
            f"{bench.budget_mb:,} MiB, process tree",
            f"{expected:,.0f} +- {half:,.0f} MiB (95 %)",
            expected + half <= bench.budget_mb,
        )
    print(
        f"{kind:<10} {line.slope:6.3f} B/value + {line.intercept:6.0f} MiB, residual error {line.error:5.1f} MiB; "
        f"at {FULL_ROWS:,} x {bench.features:,}: {expected:,.0f} +- {half:,.0f} MiB (95 %) of {bench.budget_mb:,}: "
        f"{fits}{reckoned}{seen}"
    )


def main() -> None:
    """Sizes from small to large, then the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES), help="sizes, at least three")
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--trees", type=int, default=TREES, help="trees of each model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=int, default=BUDGET_MB, help="of the whole process tree, MiB")
    parser.add_argument("--whole", action="store_true", help="measure 2,700,000 rows too")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for data and results")
    parser.add_argument("--keep", action="store_true", help="keep parquet and stores afterwards")
    given = parser.parse_args()
    sizes = sorted({rows - rows % ROWS_AN_ERA for rows in given.rows} | ({FULL_ROWS} if given.whole else set()))
    if len(sizes) < 3 or sizes[0] < LEAST_ROWS:
        parser.error(f"give at least three sizes from {LEAST_ROWS:,} rows")
    bench = Bench(given.folder.absolute(), given.features, given.trees, given.budget, given.threads)
    bench.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(bench.folder)
    needed, free = DISK_BYTES * sizes[-1] * given.features, shutil.disk_usage(bench.folder).free
    if needed > free:
        parser.error(
            f"{bench.folder} needs {needed / 2**30:.0f} GiB of disk, {free / 2**30:.0f} are free; use fewer rows"
        )
    for kind in given.kinds:
        print(f"{kind}: plan of {FULL_ROWS:,} rows: {full_plan(kind, given.features, given.budget, given.threads)}")
    parquet = bench.folder / f"train-{sizes[-1]}-{given.features}.parquet"
    if not parquet.exists() and bench.lacks(sizes, given.kinds, sizes[0]):
        began = time.monotonic()
        write_parquet(parquet, sizes[-1], given.features)
        print(
            f"{parquet.name}: {parquet.stat().st_size / 2**20:,.0f} MiB in {time.monotonic() - began:.0f} s", flush=True
        )
    for rows in sizes:
        found = run_size(bench, rows, parquet, given.kinds, sizes[0])
        show_row(rows, given.features, "store", found["store"])
        if rows == sizes[0]:
            show_trees(bench, rows, given.kinds)
        if not given.keep:
            shutil.rmtree(bench.folder / "stages" / f"{rows}-store", ignore_errors=True)
    for kind in ("store", *given.kinds):
        whole = bench.results()[f"{sizes[-1]}-{kind}"]["peak_mb"] if sizes[-1] == FULL_ROWS else None
        show_line(bench, kind, sizes, whole)
    if not given.keep:
        parquet.unlink(missing_ok=True)


def show_trees(bench: Bench, rows: int, kinds: Sequence[str]) -> None:
    """The smallest size once more with ten times the trees."""
    for kind in kinds:
        few = bench.results()[f"{rows}-{kind}"]["peak_mb"]
        many = train(bench, rows, kind, bench.folder / "stages" / f"{rows}-store" / "store", MORE_TREES * bench.trees)
        trees = f"{bench.trees} -> {MORE_TREES * bench.trees} trees"
        print(f"{rows:>10,} {kind:<10}{trees}: {few:.0f} -> {many['peak_mb']:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
