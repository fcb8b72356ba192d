"""How much memory a fit takes above what the process holds anyway, in bytes for each value of the matrix.

Memory is what the watch counts: what the kernel cannot drop, not the mapped file. It is looked at every few
milliseconds, so the figures may miss the very highest moment.

A float32 copy of the matrix alone would be 4. Each fit has a process of its own, forked after the imports, and reads a
file-backed matrix.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
ROWS, FEATURES = 60_000, 500
FITS = """
import json, os, sys, threading, time
from pathlib import Path
import catboost, lightgbm, numpy as np, xgboost
from eraflow.machine.plan import Plan
from models.kinds import make_model

def kibibytes(name):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

class Peak(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.highest = 0

    def run(self):
        while True:
            self.highest = max(self.highest, kibibytes("RssAnon") + kibibytes("RssShmem"))
            time.sleep(0.003)

def measure(kind, way):
    x, y = np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy")
    make_model(kind, {"n_estimators": 2})  # the library is warm
    peak = Peak()
    peak.start()
    before = kibibytes("RssAnon") + kibibytes("RssShmem")
    model = make_model(kind, {"n_estimators": 3}, scratch=folder)
    lean = {"low_memory": True, "rows_in_memory": 8192} if way == "low" else {}
    model.fit(x, y, plan=Plan(threads=1, **lean), seed=1)
    return (peak.highest - before) * 1024 / x.size

folder = Path(sys.argv[1])
for case in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        print(json.dumps([case, measure(*case.split())]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
MOST = {"lightgbm usual": 2.2, "xgboost usual": 2.9, "xgboost low": 1.2, "catboost usual": 3.5, "catboost low": 1.9}

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the kernel's memory figures")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (ROWS, FEATURES), dtype=np.int8)
    y = np.where(rng.random(ROWS) < 0.05, np.nan, x[:, 0] / 4 + rng.normal(size=ROWS))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y.astype(np.float32))
    command = [sys.executable, "-c", FITS, str(folder), *MOST]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(json.loads(line) for line in lines if line.startswith("["))


@pytest.mark.parametrize("case", MOST)
def test_a_fit_never_holds_the_matrix_as_floats(measured, case):
    print(f"{case}: {measured[case]:.2f} bytes a value")
    assert measured[case] < MOST[case]
