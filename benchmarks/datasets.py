"""Building a booster's binned data: the notebook's way and ours, side by side, each in a fresh process.

    python -m benchmarks.datasets                                # 80,000 rows x 1,500 features
    python -m benchmarks.datasets --rows 180000 --features 2748  # the size L

The notebook hands the library a float32 frame; ours begins at the era store's int8 file. Counted is only the building:
processor seconds, seconds, and the peak of the memory that the kernel cannot drop above that of the imports, in bytes
for each value (the notebook's float32 frame is in it: without it there is nothing to build from). Then a few trees are
trained, and their predictions compared with the notebook's on all rows.

LightGBM: `tiles` is lgb.Sequence with finished bins (PushRows), `arrow` an Arrow table of int8 columns with finished
bins, `packed` is what the product does, `kept` the same when the file then stays in a `BinCache`, and `cached` when it
is there already.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.aims import note
from benchmarks.measured import Peak, held_mib

TREES = 5
THREADS = 2
EXAMPLE = {"learning_rate": 0.01, "max_depth": 5, "num_leaves": 31, "feature_fraction": 0.1}


def write_data(folder: Path, rows: int, features: int) -> None:
    """Random codes as the era store has them, and a target that depends on a few."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (rows, features), dtype=np.int8)
    y = x[:, :8] @ np.linspace(0.05, 0.2, 8) + rng.normal(size=rows)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y.astype(np.float32))


@dataclass(frozen=True)
class Task:
    """What a way is given."""

    folder: Path
    x: Any
    y: Any


def frame_of(task: Task) -> Any:
    """The notebook's float32 frame."""
    import pandas as pd

    return pd.DataFrame(np.asarray(task.x).astype(np.float32), columns=[f"f{i}" for i in range(task.x.shape[1])])


def lightgbm_notebook(task: Task) -> Callable[[], Any]:
    import lightgbm as lgb

    frame = frame_of(task)
    settings = {**EXAMPLE, "num_threads": THREADS, "verbosity": -1, "seed": 1}
    return lambda: (settings, lgb.Dataset(frame, label=task.y, params=settings).construct())


def lightgbm_finished(task: Task) -> tuple[dict[str, Any], Any]:
    """Settings, and a small dataset whose bins are taken over."""
    import lightgbm as lgb

    from models.base.rows import level_matrix

    settings = {**EXAMPLE, "num_threads": THREADS, "verbosity": -1, "seed": 1, "feature_pre_filter": False}
    levels = level_matrix(task.x.shape[1])
    label = np.zeros(len(levels), dtype=np.float32)
    return settings, lgb.Dataset(levels, label=label, params=settings).construct()


def lightgbm_tiles(task: Task) -> Callable[[], Any]:
    from models.base.rows import TrainingRows
    from models.boosters.lightgbm_bins import LightGBMBins

    settings, _ = lightgbm_finished(task)
    bins = LightGBMBins(TrainingRows(task.x, task.y, 262_144), settings, task.folder)
    return lambda: (settings, bins.from_tiles().set_label(task.y))


def lightgbm_arrow(task: Task) -> Callable[[], Any]:
    import lightgbm as lgb
    import pyarrow as pa

    def build() -> Any:
        settings, reference = lightgbm_finished(task)
        rows, features = task.x.shape
        columns = np.empty((features, rows), dtype=np.int8)
        for start in range(0, rows, 4096):
            columns[:, start : start + 4096] = task.x[start : start + 4096].T
        arrays = [pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(column)]) for column in columns]
        table = pa.Table.from_arrays(arrays, names=[f"Column_{place}" for place in range(features)])
        return settings, lgb.Dataset(table, label=task.y, reference=reference, params=settings).construct()

    return build


def product(kind: str, *, cached: bool = False, low_memory: bool = False) -> Callable[[Task], Callable[[], Any]]:
    """What the product does, with the settings of the notebook."""

    def prepared(task: Task) -> Callable[[], Any]:
        from eraflow.machine.plan import Plan
        from models.boosters.bincache import BinCache
        from models.kinds import make_model

        cache = BinCache(task.folder / "bins", "the rows", 100_000) if cached else None
        model: Any = make_model(kind, {"n_estimators": TREES}, scratch=task.folder, bins=cache)
        plan = Plan(threads=THREADS, low_memory=low_memory)
        return lambda: (model, plan, model.prepare(task.x, task.y, plan=plan))

    return prepared


def xgboost_notebook(task: Task) -> Callable[[], Any]:
    import xgboost as xgb

    frame = frame_of(task)
    return lambda: (
        xgb.DMatrix(frame, label=task.y, nthread=THREADS).num_row()
        and xgb.QuantileDMatrix(frame, label=task.y, nthread=THREADS)
    )


def catboost_notebook(task: Task) -> Callable[[], Any]:
    import catboost

    frame = frame_of(task)

    def build() -> Any:
        pool = catboost.Pool(frame, task.y, thread_count=THREADS)
        pool.quantize(task_type="CPU")
        return pool

    return build


def predictions(made: Any, task: Task) -> Any:
    """float64[n] of a few trees, or None where the way is not trained here."""
    if not isinstance(made, tuple):
        return None
    if len(made) == 2:
        import lightgbm as lgb

        settings, dataset = made
        return lgb.train({**settings, "force_col_wise": True, "deterministic": True}, dataset, TREES).predict(task.x)
    model, plan, prepared = made
    model.fit(task.x, task.y, plan=plan, seed=1, prepared=prepared)
    prepared.close()
    return model.predict(task.x, plan=plan)


WAYS: dict[str, Callable[[Task], Callable[[], Any]]] = {
    "lightgbm notebook": lightgbm_notebook,
    "lightgbm tiles": lightgbm_tiles,
    "lightgbm arrow": lightgbm_arrow,
    "lightgbm packed": product("lightgbm"),
    "lightgbm kept": product("lightgbm", cached=True),
    "lightgbm cached": product("lightgbm", cached=True),
    "xgboost notebook": xgboost_notebook,
    "xgboost usual": product("xgboost"),
    "xgboost low": product("xgboost", low_memory=True),
    "catboost notebook": catboost_notebook,
    "catboost usual": product("catboost"),
    "catboost low": product("catboost", low_memory=True),
}
BASES = {"lightgbm": "lightgbm notebook", "xgboost": "xgboost usual", "catboost": "catboost usual"}
"""With whose predictions the others of a library are compared. XGBoost and CatBoost of the notebook have other bins."""


def imports() -> None:
    """What is not counted."""
    import catboost
    import lightgbm
    import pandas
    import pyarrow
    import xgboost

    import models.boosters.lightgbm_model  # noqa: F401

    _ = catboost, lightgbm, pandas, pyarrow, xgboost


def child(way: str, folder: Path) -> None:
    """Build in this process; print the figures and leave the predictions."""
    imports()
    base = held_mib()
    peak = Peak()
    task = Task(folder, np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy"))
    build = WAYS[way](task)
    gc.collect()
    if not way.endswith("notebook"):
        base = held_mib()
    peak.highest = 0.0
    peak.start()
    cpu, start = time.process_time(), time.perf_counter()
    made = build()
    found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - start}
    found["bytes"] = (max(peak.highest, held_mib()) - base) * 2**20 / task.x.size
    values = predictions(made, task)
    if values is not None:
        np.save(folder / f"{way}.npy", values)
    print(json.dumps(found))


def run(way: str, folder: Path) -> dict[str, float]:
    """One way in a fresh process with passive OpenMP waiting, as the product's children have it."""
    from eraflow.machine.launch import environment

    command = [sys.executable, "-m", "benchmarks.datasets", "--child", way, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(THREADS, {}))
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def difference(way: str, folder: Path) -> str:
    """The largest difference of the predictions from those of the library's base."""
    mine, base = folder / f"{way}.npy", folder / f"{BASES[way.split()[0]]}.npy"
    if not mine.exists() or not base.exists():
        return "-"
    return f"{float(np.abs(np.load(mine) - np.load(base)).max()):.1e}"


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--features", type=int, default=1_500)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, given.rows, given.features)
        print(f"{given.rows:,} rows x {given.features:,} features; ratios against the notebook of the same library")
        print(f"{'way':<20}{'CPU s':>8}{'less CPU':>10}{'wall s':>8}{'faster':>9}{'B/value':>9}{'max diff':>10}")
        notebook: dict[str, dict[str, float]] = {}
        for way in given.ways:
            found, library = run(way, folder), way.split()[0]
            first = notebook.setdefault(library, found)
            print(
                f"{way:<20}{found['cpu']:>8.2f}{first['cpu'] / found['cpu']:>9.1f}x{found['wall']:>8.2f}"
                f"{first['wall'] / found['wall']:>8.1f}x{found['bytes']:>9.2f}{difference(way, folder):>10}",
                flush=True,
            )
            note_aims(way, found, first, f"{given.rows:,} rows x {given.features:,} features", difference(way, folder))


def note_aims(way: str, found: dict[str, float], first: dict[str, float], size: str, worst: str) -> None:
    """Rows of the table of aims, for what the product does."""
    less, value = first["cpu"] / found["cpu"], found["bytes"]
    if way in ("lightgbm packed", "xgboost low", "catboost low"):
        note(
            f"dataset construction, {way}, {size}",
            "2.5 B/value, or 4 B/value at 4 times less CPU",
            f"{value:.2f} B/value, {less:.1f} times less CPU, max difference {worst}",
            value <= 2.5 or (value <= 4 and less >= 4),
        )
    if way == "lightgbm cached":
        faster = first["wall"] / found["wall"]
        note(f"reuse from cache, LightGBM, {size}", "50 times faster", f"{faster:.0f} times", faster >= 50)


if __name__ == "__main__":
    main()
