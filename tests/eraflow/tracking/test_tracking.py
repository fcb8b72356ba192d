"""Runs in MLflow: what is recorded can be read back, once, and trouble has a name."""

import math
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest

from eraflow.settings.run import RunSettings
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.mlflowlink import MlflowLink, NothingThereError, TrackingError
from eraflow.tracking.tracking import CUMULATIVE, DATABASE, PER_ERA, ChildRun, Tracker
from eraflow.tracking.trackingtext import flatten

ERAS = [f"{number:04d}" for number in range(301, 1001)]


def runs_of(tracker):
    return tracker.link.call("search_runs", [tracker.experiment_id()])


def history(tracker, run_id, metric):
    points = tracker.link.call("get_metric_history", run_id, PER_ERA + metric)
    return {point.step: point.value for point in points}


def artifacts(tracker, run_id):
    uri = tracker.link.call("get_run", run_id).info.artifact_uri
    folder = Path(url2pathname(urlparse(uri).path))
    assert folder.is_relative_to(tracker.home)
    return folder


def test_the_history_of_every_era_can_be_read_back(tracker):
    values = np.random.default_rng(0).normal(0, 0.03, len(ERAS))
    started = time.monotonic()
    with tracker.run("lightgbm", tags={"signature": "a1"}) as run:
        for metric in ("corr", "mmc", "bmc", "fnc", "benchmark_corr"):
            run.log_per_era(metric, ERAS, values)
    print(f"700 eras x 5 metrics: {time.monotonic() - started:.2f} s")
    assert history(tracker, run.run_id, "corr") == {int(era): value for era, value in zip(ERAS, values, strict=True)}
    assert len(history(tracker, run.run_id, "benchmark_corr")) == 700


def test_eras_without_a_figure_are_left_out(tracker):
    with tracker.run("m") as run:
        run.log_per_era("mmc", ["0001", "0002", "0003"], [0.1, math.nan, -0.2])
        run.log_metrics({"minutes": 1.5, "peak_mb": None, "sharpe": math.nan})
    assert history(tracker, run.run_id, "mmc") == {1: 0.1, 3: -0.2}
    assert tracker.link.call("get_run", run.run_id).data.metrics == {
        "minutes": 1.5,
        f"{PER_ERA}mmc": -0.2,
        f"{CUMULATIVE}mmc": -0.1,
    }


def test_a_curve_is_a_metric_over_its_steps(tracker):
    with tracker.run("m") as run:
        run.log_steps("learning/fold-1/corr", [(20, 0.01), (40, math.nan), (60, 0.02)])
    points = tracker.link.call("get_metric_history", run.run_id, "learning/fold-1/corr")
    assert {point.step: point.value for point in points} == {20: 0.01, 60: 0.02}


def test_eras_and_values_must_be_as_many(tracker):
    with pytest.raises(TrackingError, match="2 eras but 1 values"), tracker.run("m") as run:
        run.log_per_era("corr", ["0001", "0002"], [0.1])


def test_settings_tags_and_files(tracker, tmp_path):
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "text.txt").write_text("trees")
    (tmp_path / "scores.json").write_text("{}")
    settings = RunSettings(data={"target": "x" * 7000}).model_dump(mode="json")
    with tracker.run("week", kind="ensemble", tags={"round": 1100, "run_dir": None, "git_commit": "c" * 40}) as run:
        run.log_settings(settings)
        run.log_files([tmp_path / "model", tmp_path / "scores.json"], folder="files")
    found = tracker.link.call("get_run", run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["windows.folds"] == "5"
    assert found.data.params["models.2.kind"] == "catboost"
    assert found.data.params["data.target"].endswith("[cut, 7000 characters]")
    assert len(found.data.params["data.target"]) == 6000
    assert found.data.tags["round"] == "1100"
    assert "run_dir" not in found.data.tags
    assert found.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert found.data.tags["library.numpy"] == np.__version__
    assert (artifacts(tracker, run.run_id) / "files" / "deep" / "text.txt").read_text() == "trees"
    assert (artifacts(tracker, run.run_id) / "files" / "scores.json").read_text() == "{}"


def test_more_settings_than_one_call_takes(tracker):
    with tracker.run("m") as run:
        run.log_settings({f"key{number}": number for number in range(250)})
    assert len(tracker.link.call("get_run", run.run_id).data.params) == 250


def test_flatten_keeps_every_leaf():
    nested = {"a": {"b": 1, "c": {}}, "d": [1, 2], "e": [{"f": None}, 3]}
    assert flatten(nested) == {"a.b": 1, "a.c": {}, "d": [1, 2], "e.0.f": None, "e.1": 3}


def test_the_same_signature_is_recorded_once(tracker):
    for value in (0.1, 0.9):
        with tracker.run("lightgbm", tags={"signature": "a1"}) as run:
            run.log_metrics({"corr_mean": value})
            run.log_settings({"seed": value})
            run.log_per_era("corr", ["0001"], [value])
            run.log_files([])
    assert run.reused
    assert [found.info.run_id for found in runs_of(tracker)] == [run.run_id]
    assert tracker.link.call("get_run", run.run_id).data.metrics["corr_mean"] == 0.1
    with tracker.run("week", kind="ensemble", tags={"signature": "a1"}) as other:
        assert not other.reused


def test_an_unfinished_run_is_not_reused_but_closed(tracker):
    with pytest.raises(ValueError, match="boom"), tracker.run("m", tags={"signature": "a1"}):
        raise ValueError("boom")
    dead = tracker.run("m", tags={"signature": "a1"})
    dead_id = dead.__enter__().run_id  # a process that was killed here never leaves the block
    with tracker.run("m", tags={"signature": "a1"}) as run:
        assert not run.reused
    assert sorted(found.info.status for found in runs_of(tracker)) == ["FAILED", "FINISHED", "KILLED"]
    assert tracker.link.call("get_run", dead_id).info.status == "KILLED"


def test_models_are_nested_under_the_ensemble(tracker):
    with tracker.run("week", kind="ensemble") as parent, tracker.run("m", parent_run_id=parent.run_id) as child:
        pass
    assert tracker.link.call("get_run", child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


def test_threads_write_at_the_same_time(tracker):
    def record(number):
        own = Tracker(tracker.home, TrackingSettings())
        with own.run(f"m{number}", tags={"signature": f"s{number}"}) as run:
            run.log_per_era("corr", ERAS[:50], [number] * 50)
        return run.run_id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(record, range(8)))
    assert [set(history(tracker, run_id, "corr").values()) for run_id in ids] == [{number} for number in range(8)]


def test_a_database_locked_by_another_program_is_waited_for(tracker):
    tracker.experiment_id()
    other = sqlite3.connect(tracker.home / DATABASE, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.5, other.rollback).start()
    with tracker.run("m") as run:
        run.log_metrics({"a": 1.0})
    assert tracker.link.call("get_run", run.run_id).data.metrics == {"a": 1.0}


def test_a_locked_call_is_repeated_with_growing_pauses():
    pauses = []
    link = MlflowLink("sqlite:///nowhere.db", sleep=pauses.append)
    answers = iter([sqlite3.OperationalError("database is locked")] * 3 + [None])

    def act():
        answer = next(answers)
        if answer is not None:
            raise answer
        return "done"

    assert link.with_retries("test", act) == "done"
    assert len(pauses) == 3
    assert pauses[2] > pauses[0]


def test_a_lock_that_never_opens_and_another_error_are_named():
    def locked():
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(TrackingError, match="whatever else writes"):
        MlflowLink("sqlite:///x.db", lock_seconds=0.0, sleep=lambda _: None).with_retries("test", locked)

    def broken():
        raise OSError("broken pipe")

    pauses = []
    with pytest.raises(TrackingError, match="broken pipe") as caught:
        MlflowLink("http://name:secret@host/x", sleep=pauses.append).with_retries("test", broken)
    assert pauses == []
    assert "secret" not in str(caught.value)


def test_what_is_not_there_is_named(tracker, tmp_path):
    with pytest.raises(NothingThereError):
        tracker.link.call("get_run", "f" * 32)
    with pytest.raises(TrackingError, match=r"absent\.json is not there"), tracker.run("m") as run:
        run.log_files([tmp_path / "absent.json"])


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"this is not a database, it only has its name" * 100)
    tracker = Tracker(tmp_path, TrackingSettings())
    with pytest.raises(TrackingError, match="not a database"):
        tracker.experiment_id()


def test_a_deleted_experiment_comes_back(tracker):
    tracker.link.call("delete_experiment", tracker.experiment_id())
    again = Tracker(tracker.home, TrackingSettings())
    with again.run("m") as run:
        pass
    assert [found.info.run_id for found in runs_of(again)] == [run.run_id]


def test_a_copied_home_has_its_own_artifacts(tracker, tmp_path):
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("second")
    with tracker.run("m", tags={"signature": "a1"}) as run:
        run.log_files(tmp_path / "a.txt")
    copied = tmp_path / "copy of home"
    shutil.copytree(tracker.home, copied)
    moved = Tracker(copied, TrackingSettings())
    with moved.run("m", tags={"signature": "b2"}) as second:
        second.log_files(tmp_path / "b.txt")
    assert (artifacts(moved, run.run_id) / "a.txt").read_text() == "first"
    assert (artifacts(moved, second.run_id) / "b.txt").read_text() == "second"
    assert (artifacts(tracker, run.run_id) / "a.txt").read_text() == "first"
    assert len(list(tracker.home.rglob("*.txt"))) == 1


def test_a_fresh_home_is_silent_and_calls_nobody(fresh_home):
    assert (fresh_home.done.returncode, fresh_home.done.stdout, fresh_home.done.stderr) == (0, "", "")
    assert sorted(path.name for path in fresh_home.home.iterdir()) == [".mlflow.turn", "mlartifacts", "mlflow.db"]


def test_trials_are_runs_below_their_search_and_are_written_once(tracker):
    trials = [
        ChildRun("trial 1", "trial", {"max_depth": 5}, {"value": 0.03, "score": None}, {0: 0.01, 3: 0.02}),
        ChildRun("trial 2", "trial", {}, {"value": math.nan}, tags={"note": None}, status="KILLED"),
    ]
    with tracker.run("search-lightgbm", kind="search", tags={"signature": "s"}) as parent:
        tracker.log_children(parent, trials)
    with tracker.run("search-lightgbm", kind="search", tags={"signature": "s"}) as again:
        tracker.log_children(again, trials)
    below = [run for run in runs_of(tracker) if run.data.tags.get("mlflow.parentRunId") == parent.run_id]
    assert again.reused
    assert {run.info.run_name: run.info.status for run in below} == {"trial 1": "FINISHED", "trial 2": "KILLED"}
    first = next(run for run in below if run.info.run_name == "trial 1")
    assert first.data.params == {"max_depth": "5"}
    assert first.data.metrics == {"value": 0.03, "curve": 0.02}


FIRST = """
import sys
from pathlib import Path
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.tracking import Tracker
print(Tracker(Path(sys.argv[1]), TrackingSettings()).experiment_id())
"""


def test_two_first_runs_at_once_make_one_database(tmp_path):
    command = [sys.executable, "-c", FIRST, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate(timeout=200)[0] for one in both] == ["1\n", "1\n"]
