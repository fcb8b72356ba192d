"""How much memory a fit takes above what the process holds anyway, in bytes for each value of the matrix.

A float32 copy of the matrix alone would be 4. Measured in a process of its own, on a file-backed matrix.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
ROWS, FEATURES = 100_000, 400
FIT = """
import json, sys
from pathlib import Path
import numpy as np
from eraflow.machine.plan import Plan
from models.protocol import make_model

def kibibytes(name):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

kind, folder, low = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "low"
x, y = np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "y.npy")
small = make_model(kind, {"n_estimators": 2})
small.fit(x[:500], y[:500], plan=Plan(threads=1), seed=1)  # the library is loaded and warm
x.view(np.uint8).max()  # the pages of the file are resident: they are not what is measured
before = kibibytes("VmRSS")
model = make_model(kind, {"n_estimators": 3}, scratch=folder)
model.fit(x, y, plan=Plan(threads=1, low_memory=low, rows_in_memory=8192 if low else 262144), seed=1)
print(json.dumps((kibibytes("VmHWM") - before) * 1024 / x.size))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (ROWS, FEATURES), dtype=np.int8)
    y = np.where(rng.random(ROWS) < 0.05, np.nan, x[:, 0] / 4 + rng.normal(size=ROWS))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y.astype(np.float32))
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the kernel's memory figures")
@pytest.mark.parametrize(
    ("kind", "way", "most"),
    [
        ("lightgbm", "usual", 3.0),
        ("lightgbm", "low", 1.3),
        ("xgboost", "usual", 3.2),
        ("xgboost", "low", 2.2),
        ("catboost", "usual", 3.6),
    ],
)
def test_a_fit_never_holds_the_matrix_as_floats(folder, kind, way, most):
    command = [sys.executable, "-c", FIT, kind, str(folder), way]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    bytes_a_value = json.loads(done.stdout.splitlines()[-1])
    print(f"{kind} {way}: {bytes_a_value:.2f} bytes a value")
    assert bytes_a_value < most
