"""What a person decides about versions: each alias names a whole version, whatever dies in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.mlflowlink import TrackingError
from eraflow.tracking.registry import champion_info, load_champion, register_champion
from eraflow.tracking.shippedfiles import ChampionDamagedError
from eraflow.tracking.tracking import DATABASE, Tracker
from eraflow.tracking.versions import (
    NotPromotableError,
    NoVersionError,
    listed,
    name_challenger,
    promote,
    roll_back,
)
from tests.eraflow.tracking.test_registry import ALPHA, content, ship, write_ensemble
from tests.model_stores import opened

BETA = replace(ALPHA, slot="id-beta", slot_name="beta")
SCORES = {"blend": {"summary": {"payout": {"mean": 0.0123}}}}


@pytest.fixture
def evidence(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    (tmp_path / "verdict.json").write_text(json.dumps({"passed": True}))
    return {"scores": tmp_path / "scores.json", "verdict": tmp_path / "verdict.json"}


def shipped(tracker, tmp_path, number, evidence, seat=ALPHA):
    """Ship an ensemble of its own number."""
    folder = tmp_path / f"ensemble-{number}"
    if not folder.exists():
        write_ensemble(folder, seed=number)
    return ship(tracker, folder, f"signature{number}", seat=seat, **evidence)


@pytest.fixture(params=["folder", "s3", "gs"])
def stored(request, fresh_home, tmp_path):
    """A tracker on each of the stores, with the store."""
    with opened(request.param, tmp_path) as store:
        (tmp_path / "home").mkdir()
        shutil.copyfile(fresh_home.tables, tmp_path / "home" / DATABASE)
        yield Tracker(tmp_path / "home", TrackingSettings(artifacts=store.root)), store


def test_promote_roll_back_and_challenger_on_every_store(stored, tmp_path, evidence):
    tracker, _ = stored
    for number in (1, 2, 3):
        shipped(tracker, tmp_path, number, evidence)
    assert promote(tracker, 1, "the newer ones drift").aliases == ("champion",)
    assert champion_info(tracker, ALPHA).version == 1
    assert content(load_champion(tracker, tmp_path / "out", ALPHA)) == content(tmp_path / "ensemble-1")
    assert roll_back(tracker).version == 3
    assert champion_info(tracker, ALPHA).version == 3
    assert roll_back(tracker, why="again").version == 2
    assert name_challenger(tracker, 3).aliases == ("challenger",)
    assert champion_info(tracker, ALPHA).version == champion_info(tracker).version == 2
    newest, middle, oldest = listed(tracker)
    assert (newest.aliases, middle.aliases, oldest.aliases) == (("challenger",), ("champion",), ())
    assert [each.what for each in oldest.decisions] == ["shipped", "promoted"]
    assert oldest.decisions[-1].why == "the newer ones drift"


def test_the_list_tells_what_each_version_is(tracker, tmp_path, evidence):
    shipped(tracker, tmp_path, 1, evidence)
    (row,) = listed(tracker)
    assert (row.version, row.name, row.verdict, row.payout) == (1, "x", "passed", 0.0123)
    assert len(row.weights) == 64
    assert row.seat == ALPHA
    assert json.loads(json.dumps(row.as_dict()))["aliases"] == ["champion"]


def test_an_empty_registry_lists_nothing_and_makes_nothing(tmp_path):
    tracker = Tracker(tmp_path / "none", TrackingSettings())
    assert listed(tracker) == []
    assert not tracker.home.exists()


def test_who_decided_when_and_why_stands_with_the_version(tracker, tmp_path, evidence):
    for number in (1, 2):
        shipped(tracker, tmp_path, number, evidence)
    promote(tracker, 1, "because")
    tags = tracker.link.call("get_model_version", "eraflow-ensemble", "1").tags
    assert (tags["decision"], tags["decided_why"]) == ("promoted", "because")
    assert "@" in tags["decided_by"]
    assert tags["decided_at"].endswith("+00:00")


@pytest.mark.parametrize("act", [promote, name_challenger])
def test_a_version_that_is_not_there_is_told_with_those_that_are(tracker, tmp_path, evidence, act):
    with pytest.raises(NoVersionError, match="there is none yet"):
        act(tracker, 1)
    shipped(tracker, tmp_path, 1, evidence)
    with pytest.raises(NoVersionError, match="there are 1"):
        act(tracker, 7)


def test_what_the_gate_blocked_or_never_judged_is_not_promoted(tracker, tmp_path, evidence):
    shipped(tracker, tmp_path, 1, evidence)
    for number, verdict in ((2, {"passed": False}), (3, None)):
        evidence["verdict"].write_text(json.dumps(verdict or {}))
        given = {**evidence, "verdict": evidence["verdict"] if verdict else None}
        folder = write_ensemble(tmp_path / f"ensemble-{number}", seed=number)
        with tracker.run("week", kind="ensemble", tags={"signature": f"signature{number}"}) as run:
            pass
        tags = {"signature": f"signature{number}"}
        register_champion(tracker, folder, run.run_id, tags, seat=ALPHA, becomes_champion=False, **given)
        with pytest.raises(NotPromotableError, match="never judged" if verdict is None else "blocked"):
            promote(tracker, number)
    assert champion_info(tracker, ALPHA).version == 1
    assert name_challenger(tracker, 3).aliases == ("challenger",)


def test_a_damaged_version_is_refused_and_the_champion_stays(stored, tmp_path, evidence):
    tracker, store = stored
    shipped(tracker, tmp_path, 1, evidence)
    place = tracker.link.call("get_model_version", "eraflow-ensemble", "1").tags["files"]
    shipped(tracker, tmp_path, 2, evidence)
    store.change(f"{place}/ensemble/models", lambda old: old[:-1])
    for act in (promote, name_challenger):
        with pytest.raises(ChampionDamagedError, match=r"model\.bin"):
            act(tracker, 1)
    with pytest.raises(ChampionDamagedError, match=r"model\.bin"):
        roll_back(tracker)
    assert champion_info(tracker, ALPHA).version == 2
    assert [row.aliases for row in listed(tracker)] == [("champion",), ()]


def test_nothing_before_and_several_champions_are_told(tracker, tmp_path, evidence):
    with pytest.raises(NoVersionError, match="no champion yet"):
        roll_back(tracker)
    shipped(tracker, tmp_path, 1, evidence)
    with pytest.raises(NoVersionError, match="before version 1"):
        roll_back(tracker)
    shipped(tracker, tmp_path, 2, evidence, seat=BETA)
    with pytest.raises(NoVersionError, match="slot beta"):
        roll_back(tracker)
    shipped(tracker, tmp_path, 3, evidence, seat=BETA)
    assert roll_back(tracker, 3).version == 2
    assert champion_info(tracker, ALPHA).version == 1
    with pytest.raises(NoVersionError, match="not the champion"):
        roll_back(tracker, 3)


KILLED = """
import os, signal, sys
from pathlib import Path
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.mlflowlink import MlflowLink
from eraflow.tracking.tracking import Tracker
from eraflow.tracking.versions import promote, roll_back
call, left = MlflowLink.call, [int(sys.argv[2])]
def dies(self, method, *args, **kwargs):
    if method.startswith("set_"):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
    return call(self, method, *args, **kwargs)
MlflowLink.call = dies
tracker = Tracker(Path(sys.argv[1]), TrackingSettings())
promote(tracker, 1, "by a process that dies") if sys.argv[3] == "promote" else roll_back(tracker, 3)
"""


@pytest.mark.parametrize(("act", "writes"), [("promote", 1), ("promote", 2), ("rollback", 1)])
def test_a_kill_between_any_two_writes_leaves_a_champion_and_the_command_goes_again(
    tracker, tmp_path, evidence, act, writes
):
    for number in (1, 2, 3):
        shipped(tracker, tmp_path, number, evidence)
    wanted = {"promote": 1, "rollback": 2}[act]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tracker.home), str(writes), act],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    champion = champion_info(tracker, ALPHA).version
    assert champion == (3 if writes < 2 else wanted)
    assert load_champion(tracker, tmp_path / "out", ALPHA) is not None
    again = promote(tracker, 1) if act == "promote" else roll_back(tracker, 3) if champion == 3 else None
    assert again is None or again.version == wanted
    assert champion_info(tracker, ALPHA).version == wanted


def test_an_mlflow_that_fails_leaves_the_champion(tracker, tmp_path, evidence, monkeypatch):
    for number in (1, 2):
        shipped(tracker, tmp_path, number, evidence)
    call = type(tracker.link).call

    def dies(self, method, *args, **kwargs):
        if method == "set_registered_model_alias":
            raise TrackingError("the power went", "try again")
        return call(self, method, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(type(tracker.link), "call", dies)
        with pytest.raises(TrackingError, match="power"):
            promote(tracker, 1)
    assert champion_info(tracker, ALPHA).version == 2
    assert promote(tracker, 1).version == 1
    assert roll_back(tracker).version == 2
