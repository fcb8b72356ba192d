"""Loading a tournament file: pandas as the notebooks do it, polars to int8, the era store written and read.

    python -m benchmarks.loading                       # 200,000 rows x 740 features, both row-group layouts
    python -m benchmarks.loading --rows 60000 --features 300 --rounds 1

A synthetic zstd parquet is written once a layout (one row group an era; one for all rows). Each way then runs in a
fresh process, in turns, and the best wall time of the rounds counts. Printed: wall and CPU seconds, peak resident
memory, the ratio of wall times to pandas, and peak memory against the floor: matrix + base, base being a process that
has only imported what the way needs. Ways: `pandas` is what the notebooks call, read_parquet then a float32 matrix;
`pandas int8` skips the cast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measured import cpu_seconds, peak_mib

ROWS_AN_ERA = 5_000
TARGET = "target_ender_60"


def pandas_frame(path: Path, names: list[str], out: Path) -> int:
    import pandas as pd

    frame = pd.read_parquet(path, columns=["era", TARGET, *names])
    return len(frame)


def pandas_float32(path: Path, names: list[str], out: Path) -> int:
    import pandas as pd

    frame = pd.read_parquet(path, columns=["era", TARGET, *names])
    return len(frame[names].astype("float32").to_numpy())


def pandas_int8(path: Path, names: list[str], out: Path) -> int:
    import pandas as pd

    frame = pd.read_parquet(path, columns=["era", TARGET, *names])
    return len(frame[names].to_numpy())


def polars_frame(path: Path, names: list[str], out: Path) -> int:
    import polars as pl

    return pl.scan_parquet(path).select("era", TARGET, *names).collect().height


def polars_int8(path: Path, names: list[str], out: Path) -> int:
    import polars as pl

    frame = pl.scan_parquet(path).select("era", TARGET, *names).collect()
    return len(frame.select(names).to_numpy(order="c"))


def store_write(path: Path, names: list[str], out: Path) -> int:
    from eraflow.erastore.erawriter import write_era_store

    return write_era_store([path], names, [TARGET], out / "store").n_rows


def store_open(path: Path, names: list[str], out: Path) -> int:
    from eraflow.erastore.erareader import EraStore

    store = EraStore.open(out / "store")
    return len(store.matrix()) and len(store.column(TARGET))


def store_read(path: Path, names: list[str], out: Path) -> int:
    """Open the store and touch every byte of it, one era at a time."""
    from eraflow.erastore.erareader import EraStore

    store = EraStore.open(out / "store")
    return sum(len(store.matrix([era])) for era in store.eras if int(store.matrix([era]).max()) <= 4)


def base_pandas(path: Path, names: list[str], out: Path) -> int:
    import pandas
    import pyarrow.parquet

    return len((pandas, pyarrow.parquet))


def base_polars(path: Path, names: list[str], out: Path) -> int:
    import polars

    return len((polars,))


def base_store(path: Path, names: list[str], out: Path) -> int:
    from eraflow.erastore.erawriter import write_era_store

    return len((write_era_store,))


WAYS: dict[str, tuple[Callable[[Path, list[str], Path], int], str]] = {
    "pandas": (pandas_float32, "pandas"),
    "pandas frame": (pandas_frame, "pandas"),
    "pandas int8": (pandas_int8, "pandas"),
    "polars frame": (polars_frame, "polars"),
    "polars int8": (polars_int8, "polars"),
    "store write": (store_write, "store"),
    "store open": (store_open, "store"),
    "store read": (store_read, "store"),
}
BASES = {"pandas": base_pandas, "polars": base_polars, "store": base_store}


def write_files(folder: Path, rows: int, features: int) -> dict[str, Path]:
    """One synthetic data set in both layouts; ids and targets as in the tournament."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = feature_names(features)
    columns = {name: rng.integers(0, 5, rows, dtype=np.int8) for name in names}
    table = pa.table(
        {
            "id": [f"n{number:015x}" for number in rng.permutation(rows)],
            "era": [f"{row // ROWS_AN_ERA + 1:04d}" for row in range(rows)],
            "data_type": ["train"] * rows,
            **columns,
            TARGET: rng.integers(0, 5, rows).astype("float32") / 4,
        }
    )
    files = {"one row group an era": folder / "eras.parquet", "one row group": folder / "one.parquet"}
    for path, size in zip(files.values(), (ROWS_AN_ERA, rows), strict=True):
        pq.write_table(table, path, row_group_size=size, compression="zstd")
    return files


def feature_names(count: int) -> list[str]:
    return [f"feature_{number:04d}" for number in range(count)]


def measure(way: str, path: Path, features: int, out: Path) -> dict[str, float]:
    """Run one way in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.loading", "--child", way, str(path), str(features), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(way: str, path: str, features: str, out: str) -> None:
    base = BASES[way.removeprefix("base ")] if way.startswith("base ") else None
    function, kind = (base, "") if base else WAYS[way]
    if kind:
        BASES[kind](Path(path), [], Path(out))  # imports are not what is timed
    cpu, start = cpu_seconds(), time.perf_counter()
    function(Path(path), feature_names(int(features)), Path(out))
    wall = time.perf_counter() - start
    peak = peak_mib()
    print(json.dumps({"wall": wall, "cpu": cpu_seconds() - cpu, "peak": peak}))


def compare(path: Path, layout: str, rows: int, features: int, rounds: int, out: Path) -> None:
    bases = {name: measure(f"base {name}", path, features, out)["peak"] for name in BASES}
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for way in WAYS:
            found = measure(way, path, features, out)
            if way not in best or found["wall"] < best[way]["wall"]:
                best[way] = {**found, "peak": max(found["peak"], best.get(way, found)["peak"])}
    matrix = rows * features / 2**20
    print(f"\n{rows:,} rows x {features} features, {layout}: int8 matrix {matrix:.0f} MiB, file {_mib(path):.0f} MiB")
    print(f"{'way':<14}{'wall s':>9}{'CPU s':>9}{'ratio':>9}{'faster':>9}{'peak MiB':>10}{'base':>7}{'peak/floor':>12}")
    for way, found in best.items():
        base, ratio = bases[WAYS[way][1]], found["wall"] / best["pandas"]["wall"]
        print(
            f"{way:<14}{found['wall']:>9.3f}{found['cpu']:>9.2f}{ratio:>9.3f}{1 / ratio:>8.1f}x"
            f"{found['peak']:>10.0f}{base:>7.0f}{found['peak'] / (matrix + base):>12.2f}"
        )


def _mib(path: Path) -> float:
    return path.stat().st_size / 2**20


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:6])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the synthetic file")
    parser.add_argument("--features", type=int, default=740, help="feature columns")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each way; the fastest counts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for layout, path in write_files(Path(folder), given.rows, given.features).items():
            compare(path, layout, given.rows, given.features, given.rounds, Path(folder))


if __name__ == "__main__":
    main()
