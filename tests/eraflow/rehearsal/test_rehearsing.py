"""A rehearsal by Numerai's own versions: each planted fault is caught by its name, before anything is sent."""

import json
import math
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.errors import SettingsError
from eraflow.rehearsal.confinedrun import Room
from eraflow.rehearsal.reference import ModelReferenceError, Reference, reference_path
from eraflow.rehearsal.rehearsing import rehearse, verdict_path
from eraflow.rehearsal.whatfits import VALIDATION_ROWS
from flows.command.verbs.rehearse import words
from tests.eraflow.rehearsal.environments import BUILT, interpreter, stage

pytestmark = BUILT

ROOT = Path(__file__).parents[3]
FEATURES = ["feature_a", "feature_b"]
HEAD = """
import sys, cloudpickle, numpy as np, pandas as pd
def whole(live):
    return pd.DataFrame({"prediction": live["feature_a"].rank(method="first", pct=True) * 0.99}, index=live.index)
"""
GOOD = """
def predict(live, benchmarks):
    return whole(live)
"""
SLOW = "def predict(live):\n    while True:\n        pass"
FAULTS = {
    "torch_geometric is imported": (
        "def predict(live):\n    import torch_geometric\n    return whole(live)",
        "pickle_module",
        "torch_geometric",
    ),
    "torch is imported": ("def predict(live):\n    import torch\n    return whole(live)", "pickle_module", "Docker"),
    "three parameters": ("def predict(live, benchmarks, more):\n    return whole(live)", "pickle_parameters", "3"),
    "a constant": (
        "def predict(live):\n    return whole(live).assign(prediction=0.5)",
        "pickle_constant",
        "era X are 0.5",
    ),
    "a missing id": (
        "def predict(live):\n    made = whole(live)\n    made.index = ['other', *made.index[1:]]\n    return made",
        "pickle_ids",
        "1 of 60",
    ),
    "a missing row": ("def predict(live):\n    return whole(live).iloc[1:]", "pickle_rows", "59 predictions for 60"),
    "an id twice": (
        "def predict(live):\n    made = whole(live)\n    made.index = [made.index[1], *made.index[1:]]\n"
        "    return made",
        "pickle_ids",
        "twice",
    ),
    "NaN": ("def predict(live):\n    return whole(live).where(live['feature_a'] > 0)", "pickle_nan", "predictions"),
    "out of range": ("def predict(live):\n    return whole(live) + 1", "pickle_range", "0 to 1"),
    "another column": (
        "def predict(live):\n    return whole(live).rename(columns={'prediction': 'x'})",
        "pickle_columns",
        "x",
    ),
    "a Series": ("def predict(live):\n    return whole(live)['prediction']", "pickle_result", "Series"),
    "5 GB of memory": (
        "def predict(live):\n    held = np.ones(5 * 2**30 // 8)\n    return whole(live)",
        "pickle_memory",
        "predicting",
    ),
    "the network": (
        "def predict(live):\n    import urllib.request\n    urllib.request.urlopen('http://127.0.0.1:9')",
        "pickle_network",
        "Permission denied",
    ),
    "an error": ("def predict(live):\n    return whole(live) / {}['gone']", "pickle_failed", "KeyError: 'gone'"),
    "a pandas categorical": (
        "held = pd.Categorical(['a', 'b'])\n"
        "def predict(live):\n    return whole(live).assign(x=held[0])[['prediction']]",
        "pickle_pandas",
        "Categorical",
    ),
}  # fmt: skip


def pickled(folder: Path, body: str, python: str = "3.11") -> Path:
    """A pickle that the environment itself has made, with a reference that tells its features."""
    script = f"{HEAD}\n{textwrap.dedent(body)}\nopen(sys.argv[1], 'wb').write(cloudpickle.dumps(predict))\n"
    path = folder / "model.pkl"
    subprocess.run([interpreter(python), "-I", "-c", script, str(path)], check=True, cwd=folder)
    told = {"pickle_sha256": file_sha256(path), "python": python, "signature": "s", "features": FEATURES, "parts": []}
    empty = np.zeros((2, 0))
    Reference(told, np.zeros((2, 2), np.int8), empty, np.zeros(2)).write(reference_path(path))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.mark.parametrize(("body", "code", "text"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_caught_by_name(tmp_path, folder, body, code, text):
    verdict = rehearse(pickled(tmp_path, body), stage(), folder)
    assert [one["code"] for one in verdict["faults"]] == [code]
    assert text in verdict["faults"][0]["problem"] + verdict["faults"][0]["remedy"]
    assert not verdict["passed"]


def test_the_memory_is_that_of_the_rehearsal_however_large_its_parent_is():
    asked = "import resource; from eraflow.rehearsal.runner import peak_mib as peak; "
    asked += "print(peak(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    held = bytearray(os.urandom(1)) * 300_000_000
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert 1 < float(told) < 200
    del held


def test_what_is_good_passes_and_the_verdict_is_of_these_bytes(tmp_path, folder):
    path = pickled(tmp_path, GOOD)
    verdict = rehearse(path, stage(eras=3), folder)
    assert verdict["faults"] == []
    assert verdict["passed"]
    assert verdict["no_network"][0] == "seccomp"
    assert (verdict["live"]["rows"], verdict["many"]["rows"], verdict["many"]["eras"]) == (60, 180, 3)
    assert 0 < verdict["live"]["peak_rss_mb"] < 1000
    assert [(one["eras"], one["fits"]) for one in verdict["grown"]] == [(2, True), (3, True)]
    assert verdict["eras_that_fit"]["time"] >= 1
    assert verdict["validation"]["eras"] == math.ceil(VALIDATION_ROWS / 60)
    assert verdict["to_drop"] == []
    assert json.loads(verdict_path(path).read_text())["sha256"] == file_sha256(path)


@pytest.mark.parametrize("body", [SLOW, "import time\ndef predict(live):\n    time.sleep(900)"], ids=["busy", "asleep"])
def test_what_takes_too_long_is_ended(tmp_path, folder, body):
    verdict = rehearse(pickled(tmp_path, body), stage(room=Room(seconds=4)), folder)
    assert [one["code"] for one in verdict["faults"]] == ["pickle_time"]


def test_what_takes_too_long_names_the_fewest_members_to_drop(tmp_path, folder):
    path = pickled(tmp_path, SLOW)
    found = Reference.read(reference_path(path))
    members = {"small": {"cpu_seconds": 0.5, "memory_mb": 1}, "large": {"cpu_seconds": 1.5, "memory_mb": 1}}
    estimate = {"cpu_seconds": 3.0, "memory_mb": 400, "members": members}
    Reference({**found.told, "estimate": estimate}, found.codes, found.members, found.whole).write(reference_path(path))
    verdict = rehearse(path, stage(room=Room(seconds=4)), folder)
    assert [one["code"] for one in verdict["faults"]] == ["pickle_time"]
    assert verdict["to_drop"] == ["large"]
    assert "large: 1.5 seconds" in words(verdict)
    assert "the fewest to drop until it fits: large" in words(verdict)


def test_memory_that_grows_is_ended_by_its_limit(tmp_path, folder):
    grows = "def predict(live):\n    held = []\n    while True:\n        held.append(np.ones(2**20))"
    verdict = rehearse(pickled(tmp_path, grows), stage(room=Room(memory_mb=700)), folder)
    assert [one["code"] for one in verdict["faults"]] == ["pickle_memory"]
    assert verdict["live"]["peak_rss_mb"] < 1400


def test_a_module_of_a_project_by_reference_is_caught(tmp_path, folder):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    (tmp_path / "models" / "mine.py").write_text("def predict(live):\n    return live\n")
    (tmp_path / "mine.py").write_text("def predict(live):\n    return live\n")
    for module, code in (("models.mine", "pickle_project"), ("mine", "pickle_module")):
        script = (
            f"import sys, pickle; sys.path.insert(0, {str(tmp_path)!r}); from {module} import predict;"
            "pickle.dump(predict, open('model.pkl', 'wb'))"
        )
        subprocess.run([interpreter("3.11"), "-c", script], check=True, cwd=tmp_path)
        reference_path(tmp_path / "model.pkl").unlink(missing_ok=True)
        verdict = rehearse(tmp_path / "model.pkl", stage(live=live_file(tmp_path)), folder / module)
        assert [one["code"] for one in verdict["faults"]] == [code]


def live_file(folder: Path) -> Path:
    from eraflow.rehearsal.liveframes import write_frames

    (folder / "data").mkdir(exist_ok=True)
    return Path(write_frames(folder / "data", FEATURES, rows=60, width=5)["live"])


def test_a_pickle_of_another_python_is_caught_with_and_without_a_reference(tmp_path, folder):
    path = pickled(tmp_path, GOOD, "3.12")
    verdict = rehearse(path, stage("3.11"), folder)
    assert [one["code"] for one in verdict["faults"]] == ["pickle_python"]
    assert "made for Python 3.12" in verdict["faults"][0]["problem"]
    reference_path(path).unlink()
    verdict = rehearse(path, stage("3.11", live=live_file(tmp_path)), folder)
    assert [one["code"] for one in verdict["faults"]] == ["pickle_python"]


def test_a_part_that_says_something_else_is_named(tmp_path, folder):
    body = """
    def predict(live):
        return whole(live)
    predict.members = lambda codes: codes.astype(float)
    predict.finish = lambda found, codes: found.mean(axis=1)
    """
    path = pickled(tmp_path, body)
    codes = np.array([[0, 4], [1, 2], [3, 0]], np.int8)
    parts = [{"name": name, "form": "xgboost", "tolerance": 1e-6} for name in ("one", "two")]
    found = Reference.read(reference_path(path))
    found.told["parts"] = parts
    shifted = codes + np.array([0.0, 0.5])
    Reference(found.told, codes, shifted, codes.mean(axis=1)).write(reference_path(path))
    verdict = rehearse(path, stage(), folder)
    assert [one["code"] for one in verdict["faults"]] == ["pickle_part"]
    assert verdict["faults"][0]["problem"].startswith("two differs")


def test_a_reference_of_other_bytes_is_refused(tmp_path, folder):
    path = pickled(tmp_path, GOOD)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ModelReferenceError, match="changed since"):
        rehearse(path, stage(), folder)
    reference_path(path).unlink()
    with pytest.raises(SettingsError, match="--data"):
        rehearse(path, stage(), folder)


def test_a_killed_rehearsal_leaves_no_process(tmp_path, folder):
    """The pickle writes down its own number and waits; whoever started it is killed meanwhile."""
    body = """
    def predict(live):
        import os, time
        open(os.environ["HOME"] + "/number", "w").write(str(os.getpid()))
        time.sleep(900)
    """
    path = pickled(tmp_path, body)
    code = (
        "import sys; from pathlib import Path; from eraflow.rehearsal.rehearsing import rehearse;"
        "from tests.eraflow.rehearsal.environments import stage;"
        "rehearse(Path(sys.argv[1]), stage(), Path(sys.argv[2]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(path), str(folder)], cwd=ROOT)
    number = folder / "live" / "number"
    try:
        until(lambda: number.is_file() and number.read_text())
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not psutil.pid_exists(int(number.read_text())))


def until(true):
    for _ in range(1200):
        if true():
            return
        time.sleep(0.1)
    raise TimeoutError
