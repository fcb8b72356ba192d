"""What a cleaning may take: never what is referenced, at work or needed, whatever ages and sizes are asked for."""

import json
import os
import time

import pytest

from eraflow.runs import reclaim, stage
from eraflow.runs.cleaningplan import carry_out, plan
from eraflow.runs.inuse import idle, in_use
from eraflow.runs.reclaim import (
    folder_pieces,
    kept_runs,
    leftovers,
    reproduction_pieces,
    run_pieces,
    size_of,
    store_pieces,
)
from eraflow.runs.rundir import locked
from eraflow.runs.sharedstages import SharedStages

NOW = time.time()
DAY = 86_400
MATRIX = 200_000


class Home:
    """A home folder with runs of any age."""

    def __init__(self, path):
        self.path = path
        (path / "runs").mkdir(parents=True)

    def run(self, name, days, outcome="submitted", flow="weekly", data=None):
        folder = self.path / "runs" / name
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"flow": flow, "flow_runs": [], "started": NOW - days * DAY}))
        (folder / "settings.json").write_text(json.dumps({"tracking": {"uri": None}}))
        if outcome is not None:
            (folder / "record.json").write_text(json.dumps({"outcome": outcome}))
        (folder / "model.bin").write_bytes(bytes(50_000))
        if data is not None:
            self._features(folder / "features", data)
        for path in [*folder.iterdir(), folder]:
            os.utime(path, (NOW - days * DAY,) * 2)
        return folder

    def _features(self, folder, data):
        shared, signature = SharedStages(self.path / reclaim.ERAS), (data * 64)[:64]
        with shared.held(signature, print):
            if not shared.take(signature, folder):
                stage.begin(folder, signature)
                (folder / "store").mkdir()
                (folder / "store" / "matrix.npy").write_bytes(os.urandom(MATRIX))
                (folder / "store" / "layout.json").write_text("{}")
                record = stage.finish(
                    folder, "features", signature, metrics={}, seconds=1, peak_mb=1, attempts=1, provenance={}
                )
                shared.keep(record)
        for path in (self.path / reclaim.ERAS / signature).rglob("*"):
            os.utime(path, (NOW - 400 * DAY,) * 2)

    def plan(self, bulk_days=14, keep_days=60, max_bytes=None, referenced=()):
        kept = kept_runs(self.path, referenced, NOW)
        pieces = [*leftovers(self.path), *run_pieces(self.path, kept), *store_pieces(self.path, kept)]
        pieces += [*folder_pieces(self.path), *reproduction_pieces(self.path)]
        return plan(pieces, self.path, kept, bulk_days=bulk_days, keep_days=keep_days, max_bytes=max_bytes, now=NOW)

    def names(self):
        return {path.name for path in (self.path / "runs").iterdir()}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def going(found):
    return {planned.piece.path.name for planned in found.going}


def test_what_is_needed_stays_whatever_is_asked_for(home):
    home.run("old", 300)
    home.run("registered", 300)
    home.run("newest", 100)
    home.run("newest-search", 200, outcome="searched", flow="research")
    home.run("young-unfinished", 2, outcome=None)
    home.run("old-unfinished", 30, outcome=None)
    home.run("held-now", 3, outcome="held")
    home.run("held-long-ago", 30, outcome="held")
    home.run("dry-run-now", 3, outcome="ready")
    (home.path / "runs" / "somebody-elses").mkdir()
    working = home.run("at-work", 250, outcome=None)
    with locked(working):
        found = home.plan(bulk_days=0, keep_days=0, max_bytes=0, referenced={"registered"})
    assert going(found) == {"old", "old-unfinished", "held-long-ago"}
    assert {run.name for run in found.kept} == {
        "registered", "newest", "newest-search", "young-unfinished", "held-now", "dry-run-now", "at-work",
    }  # fmt: skip
    carry_out(found.going)
    assert "somebody-elses" in home.names()
    assert working.is_dir()


def test_by_age_finished_runs_go_later_than_what_can_be_made_again(home):
    for name, days, data in (("a", 100, "a"), ("b", 30, "b"), ("c", 5, "c")):
        home.run(name, days, data=data)
    found = home.plan(bulk_days=14, keep_days=60)
    assert {(each.piece.kind, each.piece.path.name) for each in found.going} == {
        ("run", "a"), ("era store", "a" * 64), ("era store", "b" * 64),
    }  # fmt: skip
    before = size_of([home.path])
    done, refused = carry_out(found.going)
    assert refused == {}
    assert before - size_of([home.path]) >= sum(each.bytes for each in done) == found.bytes >= 2 * MATRIX
    assert home.names() == {"b", "c"}
    left = home.path / "runs" / "b" / "features" / "store"
    assert [path.name for path in left.iterdir()] == ["layout.json"]
    assert (home.path / "runs" / "c" / "features" / "store" / "matrix.npy").stat().st_size == MATRIX


def test_by_size_the_oldest_goes_until_it_fits_and_bulk_before_results(home):
    for name, days, data in (("a", 9, "a"), ("b", 8, "b"), ("c", 7, "c"), ("d", 6.5, "d")):
        home.run(name, days, data=data)
    size = size_of([home.path])
    found = home.plan(max_bytes=size - MATRIX)
    assert going(found) == {"a" * 64}
    found = home.plan(max_bytes=size - 2 * MATRIX - 20_000)
    assert going(found) == {"a" * 64, "b" * 64, "c" * 64}
    found = home.plan(max_bytes=0)
    assert "d" not in going(found)
    assert "d" * 64 not in going(found)
    assert going(found) >= {"a", "b", "c"}


def test_a_store_goes_only_when_no_run_that_may_go_on_uses_it(home):
    home.run("old", 100, data="a")
    home.run("unfinished", 2, outcome=None, data="a")
    home.run("newest", 1, data="b")
    found = home.plan(bulk_days=0, keep_days=10**6)
    assert going(found) == set()
    found = home.plan(bulk_days=0, keep_days=0)
    carry_out(found.going)  # the old run goes; what it shares with the unfinished one stays
    assert (home.path / "runs" / "unfinished" / "features" / "store" / "matrix.npy").exists()
    assert found.bytes < MATRIX


def test_the_newest_keeps_its_store_though_a_model_points_to_it_and_an_older_one_does_not(home):
    home.run("older", 100, data="a")
    home.run("newest", 1, data="b")
    found = home.plan(bulk_days=0, keep_days=0, referenced={"older", "newest"})
    assert [(each.piece.kind, each.piece.path.name) for each in found.going] == [("era store", "a" * 64)]


def test_what_runs_share_stays_while_one_is_at_work(home):
    for place in ("data/numerai/v5.3", "sandbox/generated-1", "champion/v1-a", "cache/bases/a1b2", "cache/folds/c3d4"):
        (home.path / place).mkdir(parents=True)
        (home.path / place / "file").write_bytes(bytes(1000))
        for path in (home.path / place, home.path / place / "file"):
            os.utime(path, (NOW - 50 * DAY,) * 2)
    found = home.plan()
    assert going(found) == {"v5.3", "generated-1", "v1-a", "a1b2", "c3d4"}
    with in_use(home.path):
        done, refused = carry_out(found.going)
        assert (len(done), len(refused)) == (0, 5)
        with idle(home.path) as nobody:
            assert not nobody
    done, refused = carry_out(found.going)
    assert (len(done), len(refused)) == (5, 0)


def test_a_run_that_began_meanwhile_is_not_touched(home):
    old = home.run("old", 100)
    home.run("newest", 1)
    found = home.plan()
    assert going(found) == {"old"}
    with locked(old):
        done, refused = carry_out(found.going)
    assert done == []
    assert "now" in refused[old]
    assert (old / "model.bin").exists()


def test_a_killed_cleaning_is_completed_by_the_next(home, monkeypatch):
    home.run("old", 100)
    home.run("newest", 1)
    with monkeypatch.context() as patched:
        patched.setattr(reclaim, "_gone", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            carry_out(home.plan().going)
    assert {name.split("-")[0] for name in home.names()} == {".removed", "newest"}
    found = home.plan()
    assert [each.piece.kind for each in found.going] == ["leftover"]
    carry_out(found.going)
    assert home.names() == {"newest"}


def test_a_run_that_was_built_again_goes_when_it_is_old_and_nobody_builds_there(home):
    for name, days in (("old", 20), ("young", 2), ("busy", 20)):
        place = home.path / reclaim.REPRODUCTIONS / name
        (place / "runs").mkdir(parents=True)
        (place / "runs" / "model.bin").write_bytes(bytes(50_000))
        for path in [place / "runs" / "model.bin", place / "runs", place]:
            os.utime(path, (NOW - days * DAY,) * 2)
    chosen = home.plan().going
    with in_use(home.path / reclaim.REPRODUCTIONS / "busy"):
        done, refused = carry_out(chosen)
    assert {planned.piece.path.name for planned in done} == {"old"}
    assert {path.name: why for path, why in refused.items()} == {"busy": "somebody works with it now"}
    assert sorted(path.name for path in (home.path / reclaim.REPRODUCTIONS).iterdir()) == ["busy", "young"]
