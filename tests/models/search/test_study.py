"""The shared study: kills, resumption, several processes, exact counting, dead and stale trials, what is remembered."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from eraflow.errors import EraflowError
from eraflow.settings.override import settings_from
from eraflow.settings.search import SearchSettings
from models.search import deadtrials
from models.search.deadtrials import GIVEN_UP, MOST_RETRIES, OWNER, Worker, close_dead_trials, do_again
from models.search.sampling import falls_behind, position_of, quiet_optuna
from models.search.stage import search_model
from models.search.storage import PASSWORD_VARIABLE, SearchStorageError, open_storage, shown
from models.search.study import FINISHED
from tests.models.search.searches import arguments, eras_of, report_of

ROOT = Path(__file__).parents[3]


def studies(home):
    quiet_optuna()
    storage = optuna.storages.RDBStorage(f"sqlite:///{home / 'search' / 'search.db'}")
    return [
        optuna.load_study(storage=storage, study_name=one.study_name) for one in optuna.get_all_study_summaries(storage)
    ]


def finished_of(home):
    """Number -> time of completion, read without Optuna: it would make the tables that the child is making."""
    path = home / "search" / "search.db"
    if not path.exists():
        return {}
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            "SELECT number, datetime_complete FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
        ).fetchall()
    except sqlite3.OperationalError:
        rows = []
    finally:
        connection.close()
    return dict(rows)


def course(home):
    """What is the same however a search came to its end."""
    return [{**line, "note": ""} for line in report_of(home)["course"]]


def child(home, trials, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.models.search.searches", str(home), str(trials), *options]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_search_that_was_killed_goes_on_and_ends_as_an_undisturbed_one(home, labels, planted_home, tmp_path):
    slow = '{"n_estimators": 100, "learning_rate": 0.1, "colsample": 0.5}'
    params = {"n_estimators": 100, "learning_rate": 0.1, "colsample": 0.5}
    process = child(home, 5, f"params={slow}")
    try:
        until(lambda: len(finished_of(home)) >= 2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = finished_of(home)
    assert 2 <= len(kept) < 5
    search_model(**arguments(home, labels, params=params, search={"trials": 5}))
    assert {number: when for number, when in finished_of(home).items() if number in kept} == kept  # not done again
    after = {trial.number: trial for trial in studies(home)[0].trials}
    assert sum(trial.state in FINISHED for trial in after.values()) == 5
    assert not any(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in after.values())
    other = shutil.copytree(planted_home, tmp_path / "undisturbed")
    search_model(**arguments(other, labels, params=params, search={"trials": 5}))
    assert course(home) == course(other)
    assert report_of(home)["confirmation"] == report_of(other)["confirmation"]


def test_a_search_for_a_network_goes_on_after_a_kill_and_begins_with_its_starting_points(
    home, labels, planted_home, tmp_path
):
    params = {"hidden": [8], "updates": 12, "batch_size": 256}
    process = child(home, 4, 'kind="mlp"', f"params={json.dumps(params)}")
    try:
        until(lambda: len(finished_of(home)) >= 2, seconds=180)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = finished_of(home)
    search_model(**arguments(home, labels, kind="mlp", params=params, search={"trials": 4}))
    assert {number: when for number, when in finished_of(home).items() if number in kept} == kept
    other = shutil.copytree(planted_home, tmp_path / "undisturbed")
    search_model(**arguments(other, labels, kind="mlp", params=params, search={"trials": 4}))
    assert course(home) == course(other)
    assert [line["origin"] for line in course(home)] == ["defaults", "starting point", "sampled", "sampled"]
    assert {line["length"] for line in course(home)} == {12}
    assert report_of(home)["unit"] == "updates"


def test_a_search_ends_when_its_hours_are_over_and_goes_on_when_there_are_more(home, labels):
    search_model(**arguments(home, labels, search={"trials": 5, "hours": 1e-6}))
    assert [line["origin"] for line in course(home)] == ["defaults"]  # one trial is always made
    search_model(**arguments(home, labels, search={"trials": 3, "hours": 1.0}))
    assert len(course(home)) == 3


def test_two_processes_on_one_storage_do_exactly_so_many_trials_together(home, labels):
    both = [child(home, 6, f'out="out{number}"') for number in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    (study,) = studies(home)
    states = [trial.state for trial in study.trials]
    assert sum(state in FINISHED for state in states) == 6
    assert not {TrialState.RUNNING, TrialState.WAITING} & set(states)
    owners = {trial.user_attrs[OWNER]["lock"] for trial in study.trials if trial.state in FINISHED}
    reports = [(home / f"out{number}" / "search.json").read_text() for number in range(2)]
    assert reports[0] == reports[1]  # both tell the same, whoever did the work
    assert 1 <= len(owners) <= 2


def test_more_trials_later_go_on_and_fewer_do_nothing(home, labels):
    search_model(**arguments(home, labels, search={"trials": 3}))
    first = course(home)
    search_model(**arguments(home, labels, search={"trials": 5}))
    assert course(home)[:3] == first
    assert len(course(home)) == 5
    assert search_model(**arguments(home, labels, search={"trials": 3}))["trials"] == 5


def test_next_weeks_search_begins_with_the_best_of_the_last(home, labels):
    search_model(**arguments(home, labels, search={"trials": 4}))
    found = [line for line in course(home) if line["value"] is not None and line["params"]]
    best = max(found, key=lambda line: line["value"])
    search_model(**arguments(home, labels, search={"trials": 6}, eras=eras_of(labels, labels[-9])))
    opened = [line for line in course(home) if line["origin"] == "earlier search"]
    assert [line["origin"] for line in course(home)][:3] == ["defaults", "earlier search", "earlier search"]
    assert opened[0]["params"] == pytest.approx(best["params"])
    assert len(studies(home)) == 2


@pytest.fixture
def study(tmp_path):
    """A small study without a search, whose trials can be left in any state."""
    quiet_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = open_storage(None, tmp_path, patience_seconds=90, when_stale=do_again)
        yield optuna.create_study(storage=storage, study_name="study", direction="maximize")


def dead_mark(folder):
    """What a process of this computer leaves that was killed: its lock file, which nobody holds."""
    worker = Worker(folder)
    worker._handle.close()
    return worker.mark


def test_a_trial_of_a_dead_process_is_done_again_at_once_and_one_of_a_living_is_left(study, tmp_path):
    alive = Worker(tmp_path / "workers")
    dead, living = study.ask(), study.ask()
    dead.suggest_float("x", 0, 1)
    dead.set_user_attr(OWNER, dead_mark(tmp_path / "workers"))
    living.set_user_attr(OWNER, alive.mark)
    assert close_dead_trials(study, patience_seconds=60) == 1
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING]
    again = study.ask()
    assert again.suggest_float("x", 0, 1) == dead.params["x"]
    assert OWNER not in again.user_attrs  # or its next owner would be taken for the dead one
    assert close_dead_trials(study, patience_seconds=60) == 0
    alive.close()


def test_a_trial_that_died_before_its_first_sign_of_life_is_found_by_its_age(study):
    study.ask()
    assert close_dead_trials(study, patience_seconds=60) == 0
    time.sleep(0.05)
    assert close_dead_trials(study, patience_seconds=0.01) == 1


def test_a_trial_without_an_owner_is_dead_at_once_where_nobody_else_is_alive(study, tmp_path):
    study.ask()
    mine, other = Worker(tmp_path / "workers"), Worker(tmp_path / "workers")
    dead_mark(tmp_path / "workers")
    assert close_dead_trials(study, patience_seconds=60, worker=mine) == 0  # it may be the other's
    other.close()
    assert close_dead_trials(study, patience_seconds=60, worker=mine) == 1
    mine.close()


def test_a_silent_trial_of_another_computer_is_stale_after_the_patience(study, tmp_path):
    trial = study.ask()
    trial.set_user_attr(OWNER, {"host": "elsewhere", "lock": "/nowhere"})
    study._storage._backend.record_heartbeat(trial._trial_id)
    assert close_dead_trials(study, patience_seconds=0) == 0  # not known from here
    optuna.storages.fail_stale_trials(study)
    assert study.trials[0].state == TrialState.RUNNING
    connection = sqlite3.connect(tmp_path / "search" / "search.db")
    with connection:
        connection.execute("UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-2 minutes')")
    connection.close()
    optuna.storages.fail_stale_trials(study)
    assert [one.state for one in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_a_trial_that_always_kills_its_process_is_written_off(study, tmp_path):
    for _ in range(MOST_RETRIES + 1):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr(OWNER, dead_mark(tmp_path / "workers"))
        assert close_dead_trials(study, patience_seconds=60) == 1
    last = study.trials[-1]
    assert last.state == TrialState.PRUNED
    assert last.user_attrs["found"]["note"].startswith(GIVEN_UP)
    assert last.params == study.trials[0].params


def test_places_count_what_is_not_failed_and_a_repeated_trial_has_the_place_of_the_first(study, tmp_path):
    trials = [study.ask() for _ in range(3)]
    trials[1].set_user_attr(OWNER, dead_mark(tmp_path / "workers"))
    assert [position_of(study, trial.number) for trial in trials] == [0, 1, 2]
    close_dead_trials(study, patience_seconds=60)
    assert [position_of(study, trial.number) for trial in study.trials if trial.state != TrialState.FAIL] == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "others", "kept", "behind"),
    [
        (0.0, [0.1] * 7, 0.5, False),  # too few to tell
        (0.0, [0.1] * 8, 0.5, True),
        (0.1, [0.1] * 8, 0.5, False),
        (0.35, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 0.5, False),
        (0.34, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 0.5, True),
        (0.34, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 0.65, False),
    ],
)
def test_who_falls_behind(value, others, kept, behind):
    assert falls_behind(value, others, kept) is behind


def test_a_password_is_refused_in_the_settings_and_shown_nowhere(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="ERAFLOW_SEARCH_PASSWORD"):
        SearchSettings(storage="postgresql://me:geheim@host/db")
    with pytest.raises(EraflowError, match="ERAFLOW_SEARCH_PASSWORD") as named:
        settings_from("sandbox", {}, ["search.storage=postgresql://me:geheim@host/db"])
    assert "geheim" not in str(named.value)
    monkeypatch.setenv(PASSWORD_VARIABLE, "geheim")
    assert "geheim" not in shown("postgresql://me@host/db", tmp_path)
    with pytest.raises(SearchStorageError) as failed:
        open_storage("postgresql+psycopg2://me@127.0.0.1:1/db", tmp_path, patience_seconds=5, when_stale=do_again)
    assert "geheim" not in str(failed.value)
    assert failed.value.__cause__ is None


@pytest.mark.parametrize("address", ["not an address", "sqlite:///{file}/search.db", "nosuchdialect://x/y"])
def test_a_storage_that_does_not_work_is_named(address, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(EraflowError, match="storage"):
        open_storage(address.format(file=tmp_path / "file"), tmp_path, patience_seconds=5, when_stale=do_again)


def test_a_lock_that_is_held_means_life(tmp_path):
    worker = Worker(tmp_path)
    assert not deadtrials.is_dead(worker.mark)
    assert not deadtrials.is_dead({"host": "elsewhere", "lock": str(tmp_path / "none")})
    assert not deadtrials.is_dead({**worker.mark, "lock": str(tmp_path / "taken away")})
    worker._handle.close()
    assert deadtrials.is_dead(worker.mark)
