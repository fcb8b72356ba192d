"""The memory of a prediction does not depend on the number of eras."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eraflow.machine.plan import Plan

ROOT = Path(__file__).parents[3]
PLAN = Plan(threads=1)


PEAK = """
import sys
from pathlib import Path
import numpy as np, polars as pl
from eraflow.errors import SettingsError
from eraflow.machine.plan import Plan
from models.prediction.stream import predict_stream
from tests.prediction_files import Sums

names = tuple(f"f{number}" for number in range(500))
predict_stream(Sums(features=names), Path(sys.argv[1]), Path(sys.argv[2]), Plan(threads=1))
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the kernel's memory figures")
@pytest.mark.parametrize(
    ("group", "an_era", "counts"),
    [
        (10**9, 3_000, (8, 32)),  # 1.4 MiB of features an era: 24 more eras would be 34 MiB
        (3_000, 3_000, (8, 32)),
        (20, 20, (60, 300)),  # the footer of 240 more row groups would be 60 MiB
    ],
    ids=["one group", "an era a group", "very many groups"],
)
def test_the_peak_does_not_grow_with_the_number_of_eras(tmp_path, group, an_era, counts):
    era = {f"f{number}": np.random.default_rng(number).integers(0, 5, an_era, dtype=np.int8) for number in range(500)}
    peaks = []
    for eras in counts:
        ids = [f"n{number}" for number in range(eras * an_era)]
        labels = np.repeat([f"{number:04d}" for number in range(eras)], an_era)
        columns = {name: np.tile(values, eras) for name, values in era.items()}
        path = tmp_path / f"{eras}.parquet"
        frame = pl.DataFrame({"id": ids, "era": labels, **columns})
        frame.write_parquet(path, row_group_size=group, compression="lz4", statistics=False)
        command = [sys.executable, "-c", PEAK, str(path), str(tmp_path / "out.csv")]
        env = {**os.environ, "POLARS_MAX_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=env)
        peaks.append(float(done.stdout))
    print(f"peak {peaks[0]:.0f} MiB at {counts[0]} eras, {peaks[1]:.0f} MiB at {counts[1]}")
    assert peaks[1] - peaks[0] < 15
