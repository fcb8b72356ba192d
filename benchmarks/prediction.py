"""Predicting a file with a LightGBM of 2,000 trees: the notebook's whole-file way against streaming, era by era.

    python -m benchmarks.prediction                                  # 40,000 rows x 2,748 features, some two minutes
    python -m benchmarks.prediction --rows 240000 --layouts eras,one,csv.gz --rounds 1

The model is trained on a few made-up rows, which is all that its shape needs. Each way then runs in a fresh process, in
turns: wall seconds (best of the rounds) from the start of the process to the written file, CPU seconds, peak resident
memory, and the largest difference from the notebook's predictions. Ways: `notebook` is pandas.read_parquet (read_csv)
of all columns that the model needs and model.predict on the frame; `streaming` is what `eraflow predict` does;
`prefetch` reads the next era meanwhile; `little` is what it does where memory is little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.aims import note
from benchmarks.loading import feature_names
from benchmarks.measured import cpu_seconds, peak_mib

ROWS_AN_ERA = 5_000
TRAINING_ROWS = 3_000
LAYOUTS = {
    "eras": "parquet, one row group an era",
    "one": "parquet, one row group",
    "tiny": "parquet, 250 rows a row group",
    "csv": "CSV",
    "csv.gz": "CSV, gzip",
    "csv.xz": "CSV, xz",
}
WAYS = ("notebook", "streaming", "prefetch", "little")


def notebook(folder: Path, data: Path, out: Path) -> None:
    """The official notebooks' way."""
    import lightgbm as lgb
    import pandas as pd

    features = json.loads((folder / "features.json").read_text())
    model = lgb.Booster(model_file=str(folder / "model" / "model.txt"))
    columns = ["id", "era", *features]
    frame = pd.read_parquet(data, columns=columns) if data.suffix == ".parquet" else pd.read_csv(data, usecols=columns)
    frame["prediction"] = model.predict(frame[features])
    frame[["id", "era", "prediction"]].to_parquet(out)


def streaming(folder: Path, data: Path, out: Path, *, prefetch: str, threads: int) -> None:
    """Eraflow's way, as the child process of `eraflow predict` takes it."""
    from eraflow.machine.plan import Plan
    from models.prediction.predict import predict_file

    predict_file(
        ensemble=str(folder / "model"),
        data=str(data),
        out=str(out),
        features=str(folder / "features.json"),
        plan=Plan(threads=threads).as_dict(),
        prefetch=prefetch,  # type: ignore[arg-type]
    )


def child(way: str, folder: str, data: str, out: str, threads: str) -> None:
    if way == "notebook":
        notebook(Path(folder), Path(data), Path(out))
    else:
        streaming(
            Path(folder), Path(data), Path(out), prefetch="on" if way == "prefetch" else "off", threads=int(threads)
        )
    print("\n" + json.dumps({"cpu": cpu_seconds(), "peak": peak_mib()}))


def measure(way: str, folder: Path, data: Path, out: Path, threads: int) -> dict[str, float]:
    """Run one way in a fresh process."""
    from eraflow.machine.launch import environment
    from flows.command.verbs.predict_apart import LITTLE

    env = environment(threads, LITTLE if way == "little" else {})
    if way == "notebook":
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "benchmarks.prediction", "--child", way, *map(str, (folder, data, out, threads))]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": time.perf_counter() - start}


def make_model(folder: Path, features: list[str], trees: int) -> None:
    """A model of the example settings' shape, saved as a training stage saves it."""
    import numpy as np

    from eraflow.machine.plan import Plan
    from models.boosters.lightgbm_model import LightGBMModel

    rng = np.random.default_rng(1)
    x = rng.integers(0, 5, (TRAINING_ROWS, len(features)), dtype=np.int8)
    y = (x[:, :20].astype(np.float32).mean(axis=1) + rng.normal(size=len(x))).astype(np.float32)
    model = LightGBMModel(params={"n_estimators": trees})
    model.fit(x, y, plan=Plan(), seed=1)
    model.save(folder / "model")
    (folder / "features.json").write_text(json.dumps(features))


def write_data(folder: Path, rows: int, features: list[str], layout: str) -> Path:
    """A made-up file; every layout holds the same rows."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    columns = {name: rng.integers(0, 5, rows, dtype=np.int8) for name in features}
    ids = [f"n{number:015x}" for number in rng.permutation(rows)]
    eras = [f"{row // ROWS_AN_ERA + 1:04d}" for row in range(rows)]
    frame = pl.DataFrame({"id": ids, "era": eras, "data_type": ["validation"] * rows, **columns})
    if layout.startswith("csv"):
        return _write_csv(frame, folder / f"data.{layout}")
    size = {"eras": ROWS_AN_ERA, "one": rows, "tiny": 250}[layout]
    path = folder / f"{layout}.parquet"
    frame.write_parquet(path, row_group_size=size, compression="zstd")
    return path


def _write_csv(frame: object, path: Path) -> Path:
    import gzip
    import lzma

    opened = {".csv": open, ".gz": partial(gzip.open, compresslevel=1), ".xz": partial(lzma.open, preset=0)}
    with opened[path.suffix](path, "wb") as file:  # type: ignore[operator]
        for part in frame.iter_slices(2_000):  # type: ignore[attr-defined]
            file.write(part.write_csv(include_header=file.tell() == 0).encode())
    return path


def compare(folder: Path, data: Path, layout: str, given: argparse.Namespace) -> None:
    best: dict[str, dict[str, float]] = {}
    for _ in range(given.rounds):
        for way in given.ways.split(","):
            found = measure(way, folder, data, folder / f"{way}.parquet", given.threads)
            seen = best.setdefault(way, found)
            best[way] = {name: (max if name == "peak" else min)(found[name], seen[name]) for name in found}
    size = data.stat().st_size / 2**20
    print(f"\n{given.rows:,} rows x {given.features} features, {given.trees} trees, {LAYOUTS[layout]} ({size:.0f} MiB)")
    print(f"{'way':<12}{'wall s':>8}{'CPU s':>8}{'ratio':>8}{'peak MiB':>10}{'max difference':>16}")
    for way, found in best.items():
        ratio = found["wall"] / best.get("notebook", found)["wall"]
        difference = _difference(folder / f"{way}.parquet", folder / "notebook.parquet")
        print(
            f"{way:<12}{found['wall']:>8.2f}{found['cpu']:>8.1f}{ratio:>8.2f}{found['peak']:>10.0f}{difference:>16}",
            flush=True,
        )
    note_aim(best, layout, f"{given.rows:,} rows x {given.features} features, {given.trees} trees")


def note_aim(best: dict[str, dict[str, float]], layout: str, size: str) -> None:
    """A row of the table of aims, for what `eraflow predict` does."""
    whole, ours = best.get("notebook"), best.get("streaming")
    if whole and ours:
        note(
            f"prediction, {size}, {LAYOUTS[layout]}",
            "464 MiB at no more than the whole-file time",
            f"{ours['peak']:.0f} MiB ({whole['peak']:.0f}), {ours['wall'] / whole['wall']:.2f} of the time, "
            f"{ours['cpu'] / whole['cpu']:.2f} of the CPU",
            ours["peak"] <= 464 and ours["wall"] <= whole["wall"],
        )


def _difference(path: Path, other: Path) -> str:
    import polars as pl

    if not other.exists():
        return "not compared"
    ours, theirs = (pl.read_parquet(each, columns=["id", "prediction"]) for each in (path, other))
    if ours["id"].to_list() != theirs["id"].to_list():
        return "other rows"
    return f"{(ours['prediction'] - theirs['prediction']).abs().max()}"


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:7])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000, help="rows of the made-up file")
    parser.add_argument("--features", type=int, default=2_748, help="feature columns")
    parser.add_argument("--trees", type=int, default=2_000, help="trees of the model")
    parser.add_argument("--threads", type=int, default=2, help="threads of the libraries")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each way; the fastest counts")
    parser.add_argument("--layouts", default="eras,one", help=f"of {', '.join(LAYOUTS)}")
    parser.add_argument("--ways", default=",".join(WAYS), help="the ways, comma between")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before LightGBM is loaded
    with tempfile.TemporaryDirectory() as name:
        folder, features = Path(name), feature_names(given.features)
        make_model(folder, features, given.trees)
        for layout in given.layouts.split(","):
            data = write_data(folder, given.rows, features, layout)
            compare(folder, data, layout, given)
            data.unlink()


if __name__ == "__main__":
    main()
