"""Do first attempts fit? `python -m benchmarks.estimates [CASES] [SEED]`.

Random sizes of the real training stage of the three boosters, each under a random memory budget from just above what
the leanest plan is expected to need to twice what the roomiest is; more of them near the lower end. Asked of each case:

    how near is the estimate to the peak?                  (peak / estimate, by the formula alone and corrected)
    does the first attempt stay within its budget?         (the aim: nine of ten)
    does what earlier cases recorded make it better?       (new cases in a home that remembers the first ones)

A case whose first attempt did not fit counts against the estimate even when no plan at all would have fitted; whether
the ladder found one is printed beside it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from eraflow.data.eras import Window
from eraflow.data.membereras import Member
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.machine.estimate import Need, estimate, least_mb
from eraflow.machine.failures import StageError
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import Plan
from eraflow.runs.attempt import StageExhaustedError, Work, attempt_stage
from eraflow.runs.stage import LEDGER
from eraflow.settings.machine import MachineSettings
from models.training.job import TrainJob

CASES = 20
SEED = 1
AIM = 0.9
KINDS = ("lightgbm", "xgboost", "catboost")
AFTERWARDS = 9  # cases that know the first ones
CLOSE = 1.05  # the smallest budget over the least expected need
# Large enough that the least budget of the settings (300 MiB) is not roomy for all of them.
SIZES = ((800_000, 40), (1_200_000, 20), (240_000, 240), (300_000, 150), (100_000, 700), (1_600_000, 10))
TARGET = "target_ender_20"
LEAST_BUDGET = 300  # of the settings


@dataclass(frozen=True)
class Case:
    """One random stage: its learner, its size and its budget, MiB."""

    kind: str
    rows: int
    features: int
    trees: int
    budget_mb: int


@dataclass(frozen=True)
class Result:
    """What came of it: estimate and first peak in MiB, attempts, whether the first one fitted."""

    case: Case
    raw_mb: float
    expected_mb: float
    first_peak_mb: float
    attempts: int
    fitted: bool
    finished: bool


def draw(count: int, seed: int) -> list[Case]:
    """Random cases; budgets are drawn evenly by their logarithm."""
    rng = np.random.default_rng(seed)
    cases = []
    for place in range(count):
        kind, (rows, features) = KINDS[place % len(KINDS)], SIZES[int(rng.integers(len(SIZES)))]
        trees = int(rng.integers(3, 12))
        need = _need(kind, rows, features, trees)
        low, high = CLOSE * least_mb(need, Plan(threads=2)), 2 * estimate(need, Plan(threads=2)).ram_mb
        cases.append(Case(kind, rows, features, trees, max(LEAST_BUDGET, int(low * (high / low) ** rng.random()))))
    return cases


def _need(kind: str, rows: int, features: int, trees: int) -> Need:
    return Need(kind, rows=rows, columns=features, eras=80, judged=int(0.6 * rows), trees=trees)


def store(folder: Path, rows: int, features: int) -> EraStore:
    """An era store of random codes, eighty eras."""
    path = folder / f"{rows}-{features}"
    if path.exists():
        return EraStore.open(path)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, (rows, features), dtype=np.int8)
    names = [f"feature_{place:04d}" for place in range(features)]
    frame = pl.DataFrame(
        {
            "id": [f"n{row * 7919:015x}" for row in range(rows)],
            "era": [f"{1 + row * 80 // rows:04d}" for row in range(rows)],
            "data_type": ["train"] * rows,
            **{name: codes[:, place] for place, name in enumerate(names)},
            TARGET: (codes[:, 0] / 4 + rng.normal(size=rows)).astype(np.float32),
        }
    )
    frame.write_parquet(folder / "train.parquet")
    return write_era_store([folder / "train.parquet"], names, [TARGET], path)


def _windows(eras: Sequence[str]) -> tuple[Window, ...]:
    judged = np.array_split(np.array(eras[int(0.4 * len(eras)) :]), 2)
    return tuple(
        Window(index, tuple(era for era in eras if int(era) < int(block[0]) - 8), tuple(block.tolist()), 8)
        for index, block in enumerate(judged)
    )


def run(case: Case, home: Path, stores: Path, place: int) -> Result:
    """The stage with as many attempts as it takes; the figures are those of the first."""
    data = store(stores, case.rows, case.features)
    params = {"n_estimators": case.trees}
    member = Member(case.kind, case.kind, params, TARGET, _windows(data.eras), data.eras)
    need = _need(case.kind, case.rows, case.features, case.trees)
    work = TrainJob(member=member, seed=1, store=data.path)
    job = Work("train", "models.training.train:train_model", work, need=need)
    folder = home / "runs" / f"{place:04d}"
    machine = MachineSettings(memory_mb=case.budget_mb, threads=2, disk_floor_mb=0)
    expected, finished = _attempts(job, folder, machine, home)
    rows = Ledger(folder / "train" / LEDGER).rows
    raw = estimate(need, Plan(**rows[0]["plan"])).ram_mb
    fitted = rows[0]["kind"] == "ok"
    return Result(case, raw, expected, rows[0]["peak_mb"], len(rows), fitted, finished)


def _attempts(job: Work, folder: Path, machine: MachineSettings, home: Path) -> tuple[float, bool]:
    """Until it is done or given up; gives the first corrected estimate, MiB, and whether it was done."""
    lines: list[str] = []
    finished = False
    for _ in range(machine.attempts + 1):
        try:
            attempt_stage(job, folder, machine, log=lines.append, home=home)
        except StageExhaustedError:
            break
        except StageError:
            continue
        finished = True
        break
    said = next(line for line in lines if " expected " in line)
    return float(said.split(" expected ")[1].split()[0]), finished


def show(results: Sequence[Result]) -> None:
    """A line for each case, then the sums."""
    print(f"{'kind':9} {'rows':>7} {'features':>8} {'trees':>5} {'budget':>6} {'expected':>8} {'peak':>6} "
          f"{'peak/formula':>12} {'peak/expected':>13}  first  attempts")  # fmt: skip
    for each in results:
        case, end = each.case, "" if each.finished else " (given up)"
        print(f"{case.kind:9} {case.rows:7} {case.features:8} {case.trees:5} {case.budget_mb:6} "
              f"{each.expected_mb:8.0f} {each.first_peak_mb:6.0f} {each.first_peak_mb / each.raw_mb:12.2f} "
              f"{each.first_peak_mb / each.expected_mb:13.2f}  {'fits' if each.fitted else 'OVER':5} "
              f"{each.attempts:5}{end}")  # fmt: skip
    share = sum(each.fitted for each in results) / len(results)
    ratios = sorted(each.first_peak_mb / each.expected_mb for each in results)
    print(f"first attempts that fitted: {100 * share:.0f} % (aim {100 * AIM:.0f} %); peak / expected from "
          f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {ratios[len(ratios) // 2]:.2f}\n")  # fmt: skip


def main(count: int, seed: int) -> None:
    """The cases with the formula alone, each in a home of its own; then new ones in a home that has all of those."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        data, wise = Path(base) / "data", Path(base) / "wise"
        data.mkdir()
        wise.mkdir()
        print("before: the formula alone")
        results = []
        for place, case in enumerate(draw(count, seed)):
            home = Path(base) / f"home-{place}"
            results.append(run(case, home, data, place))
            shutil.copytree(home / "runs", wise / "runs", dirs_exist_ok=True)
        show(results)
        print("after: other cases, in a home with all of these runs")
        show([run(case, wise, data, count + place) for place, case in enumerate(draw(AFTERWARDS, seed + 1))])
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(*(int(given) for given in [*sys.argv[1:], *map(str, (CASES, SEED)[len(sys.argv) - 1 :])]))
