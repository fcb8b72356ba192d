"""Cleaning never takes what an alias needs, whatever was registered, promoted, taken back and cleaned before."""

import json
import os
import shutil
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eraflow.disk.ownership import mark_home
from eraflow.runs.cleaningplan import carry_out
from eraflow.settings.run import RunSettings
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.registry import champion_info, load_champion, register_champion
from eraflow.tracking.tracking import DATABASE, Tracker
from eraflow.tracking.versions import NoVersionError, listed, name_challenger, promote, roll_back
from tasks.clean import planned_cleaning
from tests.eraflow.tracking.test_registry import ALPHA, content, write_ensemble
from tests.model_stores import s3_store

OLD = 400 * 86_400


@pytest.fixture(scope="module")
def s3():
    with s3_store() as store:
        yield store


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """MLflow's database before the first run: making its tables takes seconds."""
    tracker = Tracker(tmp_path_factory.mktemp("tables"), TrackingSettings())
    tracker.link.call("search_experiments")
    return tracker.home / DATABASE


def a_run(home, number):
    """A week that was submitted long ago, with an ensemble of its own."""
    run = home / "runs" / f"run-{number}"
    write_ensemble(run / "blend" / "ensemble", seed=number)
    (run / "settings.json").write_text(RunSettings(home=str(home)).model_dump_json())
    (run / "run.json").write_text(json.dumps({"flow": "weekly", "flow_runs": [], "started": 0}))
    (run / "record.json").write_text(json.dumps({"outcome": "submitted"}))
    return run


def register(tracker, number):
    run = a_run(tracker.home, number)
    (run / "verdict.json").write_text(json.dumps({"passed": True}))
    with tracker.run("week", kind="ensemble", tags={"signature": f"s{number}"}) as tracked:
        pass
    tags = {"signature": f"s{number}", "run_dir": str(run)}
    place = run / "blend" / "ensemble"
    register_champion(tracker, place, tracked.run_id, tags, seat=ALPHA, verdict=run / "verdict.json")


def clean(home):
    """Everything that may go, whatever its age."""
    a_run(home, 99)  # which nothing points to
    long_ago = time.time() - OLD

    for path in [*home.rglob("*")]:
        if path.name != DATABASE:
            os.utime(path, (long_ago, long_ago))
    carry_out(planned_cleaning(home, bulk_days=1, keep_days=1, max_gb=None).going)


STEPS = st.lists(st.sampled_from(["register", "promote", "rollback", "challenger", "fetch", "clean"]), max_size=6)


@settings(max_examples=4, deadline=None)
@given(steps=STEPS, picks=st.randoms(use_true_random=False))
def test_what_an_alias_names_survives_any_history(s3, tables, tmp_path_factory, steps, picks):
    home = tmp_path_factory.mktemp("history") / "home"
    home.mkdir()
    shutil.copyfile(tables, home / DATABASE)
    mark_home(home)
    tracker = Tracker(home, TrackingSettings(artifacts=s3.root))
    register(tracker, 1)
    count, fetched = 1, set()
    for step in [*steps, "clean"]:
        if step == "register":
            count += 1
            register(tracker, count)
        elif step in ("promote", "challenger"):
            (promote if step == "promote" else name_challenger)(tracker, picks.randint(1, count))
        elif step == "rollback":
            try:
                roll_back(tracker)
            except NoVersionError:  # there was none before; the champion is looked at below
                continue
        elif step == "fetch":
            load_champion(tracker, home / "fetched", ALPHA)
            fetched.add(champion_info(tracker, ALPHA).version)
        else:
            clean(home)
        champion = champion_info(tracker, ALPHA)
        out = tmp_path_factory.mktemp("out") / "ensemble"
        assert content(load_champion(tracker, out, ALPHA)) == content(
            home / "runs" / f"run-{champion.version}" / "blend" / "ensemble"
        )
        assert sum("champion" in row.aliases for row in listed(tracker)) == 1
        assert all((home / "runs" / f"run-{number}" / "record.json").exists() for number in range(1, count + 1))
    copies = [path.name for path in (home / "champion").glob("v*") if (path / "ensemble").is_dir()]
    assert any(name.startswith(f"v{champion_info(tracker, ALPHA).version}-") for name in copies)
