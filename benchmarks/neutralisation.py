"""Neutralising one era: `numerai_tools.scoring.neutralize` as in notebooks, against the Gram matrix and Cholesky.

    python -m benchmarks.neutralisation                            # 42, 740 and 2,376 features, 5,500 rows
    python -m benchmarks.neutralisation --features 740 --rounds 5

Three columns of predictions, one BLAS thread. Each way runs in a fresh process, in turns; the best CPU time of the
rounds counts, without imports. Printed: CPU and wall seconds of an era, the ratio of CPU times to numerai_tools on
an int8 frame, the largest difference to it in standard deviations of the predictions, and how far the peak of resident
memory rose while neutralising. `dependent` has a copy and a constant among its features, which plain Cholesky could not
take: there pivots find them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.aims import note
from benchmarks.measured import peak_mib

COLUMNS = 3
PROPORTION = 0.5
AIMS = {740: 5, 2_376: 10}
"""Features of an era, and how many times less CPU is aimed at."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def make_era(rows: int, features: int, dependent: bool) -> tuple[Any, Any]:
    """Levels that hang together in groups, as the tournament's do, and predictions that owe something to them."""
    import numpy as np

    rng = np.random.default_rng(features)
    shared = rng.standard_normal((rows, max(features // 20, 1))).astype(np.float32)
    codes = np.empty((rows, features), dtype=np.int8)
    for column in range(features):
        value = 0.7 * shared[:, column % shared.shape[1]] + 0.7 * rng.standard_normal(rows).astype(np.float32)
        codes[:, column] = np.digitize(value, (-0.84, -0.25, 0.25, 0.84))
    if dependent:
        codes[:, 0], codes[:, 1] = codes[:, -1], 2
    linear = codes[:, :8] @ rng.standard_normal((8, COLUMNS))
    return codes, linear + 5 * rng.standard_normal((rows, COLUMNS))


def official_int8(codes: Any, predictions: Any) -> Any:
    import pandas as pd
    from numerai_tools.scoring import neutralize

    return neutralize(pd.DataFrame(predictions), pd.DataFrame(codes), PROPORTION).to_numpy()


def official_float32(codes: Any, predictions: Any) -> Any:
    import pandas as pd
    from numerai_tools.scoring import neutralize

    return neutralize(pd.DataFrame(predictions), pd.DataFrame(codes.astype("float32")), PROPORTION).to_numpy()


def ours(codes: Any, predictions: Any) -> Any:
    from eraflow.scoring.neutralise import neutralise

    return neutralise(predictions, codes, PROPORTION)


def ours_on_floats(codes: Any, predictions: Any) -> Any:
    from eraflow.scoring.neutralise import neutralise

    return neutralise(predictions, codes.astype("float32"), PROPORTION)


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "numerai_tools, int8": official_int8,
    "numerai_tools, float32": official_float32,
    "eraflow, int8": ours,
    "eraflow, float32": ours_on_floats,
}
PLAIN = "numerai_tools, int8"


def child(way: str, rows: str, features: str, dependent: str, answer: str) -> None:
    """Time one call on the era, after one on a small era that brings in the imports."""
    import numpy as np

    function = WAYS[way]
    function(*make_era(60, 8, dependent=False))
    codes, predictions = make_era(int(rows), int(features), dependent == "1")
    before, cpu, start = peak_mib("VmRSS"), time.process_time(), time.perf_counter()
    result = function(codes, predictions)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    np.save(answer, result / predictions.std(axis=0))
    print(json.dumps({"cpu": cpu, "wall": wall, "rise": peak_mib("VmHWM") - before}))


def measure(way: str, rows: int, features: int, dependent: bool, answer: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.neutralisation", "--child", way, str(rows), str(features)]
    done = subprocess.run(
        [*command, str(int(dependent)), str(answer)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **ONE_THREAD},
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(rows: int, features: int, dependent: bool, rounds: int, folder: Path) -> float:
    """Print the ways side by side; returns how many times less CPU ours takes."""
    import numpy as np

    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for number, way in enumerate(WAYS):
            found = measure(way, rows, features, dependent, folder / f"{number}.npy")
            if way not in best or found["cpu"] < best[way]["cpu"]:
                best[way] = found
    answers = {way: np.load(folder / f"{number}.npy") for number, way in enumerate(WAYS)}
    kind = ", a copy and a constant among them" if dependent else ""
    print(f"\none era of {rows:,} rows, {features:,} features{kind}, {COLUMNS} columns, best of {rounds}")
    print(f"{'way':<24}{'CPU s':>9}{'wall s':>9}{'less CPU':>10}{'max diff':>10}{'rise MiB':>10}")
    for way, found in best.items():
        difference = np.max(np.abs(answers[way] - answers[PLAIN]))
        print(
            f"{way:<24}{found['cpu']:>9.4f}{found['wall']:>9.4f}{best[PLAIN]['cpu'] / found['cpu']:>9.1f}x"
            f"{difference:>10.1e}{found['rise']:>10.0f}",
            flush=True,
        )
    return best[PLAIN]["cpu"] / best["eraflow, int8"]["cpu"]


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:7])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5500)
    parser.add_argument("--features", type=int, nargs="+", default=[42, 740, 2376])
    parser.add_argument("--rounds", type=int, default=2, help="runs of each way; the best counts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratios = {
            (features, dependent): compare(given.rows, features, dependent, given.rounds, Path(folder))
            for features in given.features
            for dependent in (False, True)
        }
    print()
    for (features, dependent), ratio in ratios.items():
        print(f"{features:>6,} features{', dependent' if dependent else '':<12}{ratio:>6.1f}x")
        aim = AIMS.get(features)
        if aim and not dependent:
            note(f"neutralisation, {features:,} features", f"{aim} times less CPU", f"{ratio:.1f} times", ratio >= aim)


if __name__ == "__main__":
    main()
