"""Training a LightGBM of the example settings: the notebook's way and ours, with and without rivals for the cores.

    python -m benchmarks.training                                             # 60,000 rows x 1,500 features, 100 trees
    python -m benchmarks.training --rows 180000 --features 2748 --trees 120   # the size L

The notebook makes a float32 frame and calls lgb.train; the library then finds out by trial whether to build histograms
row by row or column by column. Ours is the product's model: packed bins, `force_col_wise`, `deterministic`. Each runs
in a fresh process with the same number of threads; counted is the training alone (build apart), with the memory that
the kernel cannot drop at its highest. Predictions of all rows are compared with the notebook's.

`notebook spinning` is the notebook without OMP_WAIT_POLICY=PASSIVE, as people run it; all others have it. In the second
table a busy process on each core takes part: spinning threads then wait for ones that do not run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.aims import note
from benchmarks.datasets import EXAMPLE, imports, write_data
from benchmarks.measured import Peak, held_mib
from eraflow.machine.launch import environment

THREADS = 2
SAME = 1e-12
"""Predictions that differ by less are the same: only the order of additions in a histogram is another."""
WAYS = ("notebook spinning", "notebook", "notebook row-wise", "product")


def child(way: str, folder: Path, trees: int) -> None:
    """Train in this process; print the figures and leave the predictions."""
    imports()
    x, y = np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy")
    base = held_mib()
    found = product(x, y, folder, trees) if way == "product" else notebook(x, y, folder, trees, way)
    values = found.pop("predictions")
    np.save(folder / f"{way}.npy", values)
    print(json.dumps({**found, "peak": found["peak"] - base}))


def notebook(x: np.ndarray, y: np.ndarray, folder: Path, trees: int, way: str) -> dict:
    """As in the example scripts, with an explicit seed and number of threads."""
    import lightgbm as lgb
    import pandas as pd

    peak = Peak()
    peak.start()
    settings = {**EXAMPLE, "num_threads": THREADS, "verbosity": -1, "seed": 1}
    if way.endswith("row-wise"):
        settings["force_row_wise"] = True
    build = _clock()
    frame = pd.DataFrame(np.asarray(x).astype(np.float32), columns=[f"f{place}" for place in range(x.shape[1])])
    dataset = lgb.Dataset(frame, label=y, params=settings).construct()
    built, train = _since(build), _clock()
    booster = lgb.train(settings, dataset, trees)
    return {**_named(built, _since(train)), "peak": peak.highest, "predictions": booster.predict(x)}


def product(x: np.ndarray, y: np.ndarray, folder: Path, trees: int) -> dict:
    """`models.boosters.lightgbm_model` with the notebook's seed."""
    from eraflow.machine.plan import Plan
    from models.kinds import make_model

    peak = Peak()
    peak.start()
    model = make_model("lightgbm", {"n_estimators": trees}, scratch=folder)
    plan, build = Plan(threads=THREADS), _clock()
    prepared = model.prepare(x, y, plan=plan)
    built, train = _since(build), _clock()
    model.fit(x, y, plan=plan, seed=1, prepared=prepared)
    spent = _since(train)
    prepared.close()
    return {**_named(built, spent), "peak": peak.highest, "predictions": model.predict(x, plan=plan)}


def _clock() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    return time.process_time() - began[0], time.perf_counter() - began[1]


def _named(built: tuple[float, float], trained: tuple[float, float]) -> dict:
    return {"build cpu": built[0], "build wall": built[1], "cpu": trained[0], "wall": trained[1]}


def run(way: str, folder: Path, trees: int) -> dict[str, float]:
    """One way in a fresh process."""
    values = environment(THREADS, {})
    if way.endswith("spinning"):
        values = {key: value for key, value in values.items() if key != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-m", "benchmarks.training", "--child", way, str(folder), str(trees)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=values)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def rivals(count: int) -> Iterator[None]:
    """So many busy processes while the block lasts."""
    busy = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        sum(range(10_000))


def compare(title: str, ways: tuple[str, ...], folder: Path, trees: int) -> tuple[float, float]:
    """A table; ratios against the notebook with passive waiting.

    Returns:
        how many times less CPU the product takes, and the largest difference of its predictions.
    """
    print(title)
    print(f"{'way':<20}{'train CPU s':>12}{'less CPU':>10}{'wall s':>8}{'faster':>8}{'build CPU':>11}{'peak MiB':>10}"
          f"{'max diff':>10}")  # fmt: skip
    found = {way: run(way, folder, trees) for way in ways}
    base = found["notebook"]
    reference = np.load(folder / "notebook.npy")
    for way, each in found.items():
        difference = float(np.abs(np.load(folder / f"{way}.npy") - reference).max())
        print(
            f"{way:<20}{each['cpu']:>12.2f}{base['cpu'] / each['cpu']:>9.2f}x{each['wall']:>8.2f}"
            f"{base['wall'] / each['wall']:>7.2f}x{each['build cpu']:>11.2f}{each['peak']:>10.0f}{difference:>10.1e}",
            flush=True,
        )
    worst = float(np.abs(np.load(folder / "product.npy") - reference).max())
    return base["cpu"] / found["product"]["cpu"], worst


def main() -> None:
    """Alone, then with a rival on each core and fewer trees."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--features", type=int, default=1_500)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--rivals", type=int, default=os.cpu_count() or 1, help="busy processes in the second table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, given.rows, given.features)
        size = f"{given.rows:,} rows x {given.features:,} features"
        less, worst = compare(f"{size}, {given.trees} trees, {THREADS} threads", WAYS, folder, given.trees)
        found = f"{less:.2f} times, max difference {worst:.1e}"
        aim = "1.3 times less CPU, same predictions"
        note(f"training LightGBM, {size}, {given.trees} trees", aim, found, less >= 1.3 and worst <= SAME)
        fewer = max(given.trees // 10, 1)
        with rivals(given.rivals):
            ways = ("notebook spinning", "notebook", "product")
            compare(f"\n{fewer} trees with {given.rivals} busy processes beside it", ways, folder, fewer)


if __name__ == "__main__":
    main()
