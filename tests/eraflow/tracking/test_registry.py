"""The champion: what was shipped comes back byte for byte, or its damage is named."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking import registry
from eraflow.tracking.championseat import Seat
from eraflow.tracking.mlflowlink import TrackingError
from eraflow.tracking.registry import champion_info, load_champion, register_champion, seats
from eraflow.tracking.shippedfiles import ChampionDamagedError
from eraflow.tracking.tracking import Tracker

TAGS = {"signature": "abc123", "round": 1100, "target": "target_ender_20", "run_dir": "runs/x", "none": None}


def write_ensemble(folder, seed=0):
    noise = np.random.default_rng(seed).bytes(5000)
    (folder / "models" / "lightgbm").mkdir(parents=True)
    (folder / "ensemble.json").write_text(json.dumps({"seed": seed}))
    (folder / "models" / "lightgbm" / "model.bin").write_bytes(noise)
    return folder


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ALPHA = Seat("numerai/v5.3", "id-alpha", "target_ender_20", "alpha")


def ship(tracker, ensemble, signature="abc123", **evidence):
    with tracker.run("week", kind="ensemble", tags={"signature": signature}) as run:
        pass
    return register_champion(tracker, ensemble, run.run_id, {**TAGS, "signature": signature}, **evidence)


@pytest.fixture
def ensemble(tmp_path):
    return write_ensemble(tmp_path / "ensemble")


@pytest.fixture
def evidence(tmp_path):
    (tmp_path / "any name.json").write_text(json.dumps({"blend": {"corr": [0.1, 0.2]}}))
    (tmp_path / "verdict.json").write_text(json.dumps({"passed": True}))
    (tmp_path / "oof.parquet").write_bytes(b"PAR1 predictions")
    return {
        "scores": tmp_path / "any name.json",
        "verdict": tmp_path / "verdict.json",
        "oof": tmp_path / "oof.parquet",
    }


def stored(tracker, name):
    (found,) = (tracker.home / "mlartifacts").rglob(name)
    return found


def test_before_the_first_shipment_there_is_none(tracker, tmp_path):
    assert champion_info(tracker) is None
    assert load_champion(tracker, tmp_path / "out") is None
    fresh = Tracker(tmp_path / "no home", TrackingSettings())
    assert champion_info(fresh) is None
    assert not fresh.home.exists()


def test_what_was_shipped_comes_back_byte_for_byte(tracker, ensemble, evidence, tmp_path):
    version = ship(tracker, ensemble, **evidence)
    assert (version.number, version.reused) == (1, False)
    out = load_champion(tracker, tmp_path / "deep" / "out")
    assert out == tmp_path / "deep" / "out"
    assert content(out) == content(ensemble)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_the_champion_tells_what_it_is(tracker, ensemble, evidence):
    version = ship(tracker, ensemble, **evidence)
    champion = champion_info(tracker)
    assert (champion.version, champion.signature, champion.run_id) == (1, "abc123", version.run_id)
    assert (champion.round_number, champion.target) == (1100, "target_ender_20")
    assert champion.scores == {"blend": {"corr": [0.1, 0.2]}}
    assert champion.verdict == {"passed": True}
    assert champion.oof.read_bytes() == b"PAR1 predictions"
    assert champion.tags["run_dir"] == "runs/x"
    assert champion.created_at.endswith("+00:00")


def test_mlflow_shows_the_version_under_the_alias(tracker, ensemble):
    ship(tracker, ensemble)
    found = tracker.link.call("get_model_version_by_alias", "eraflow-ensemble", "champion")
    assert found.version == 1
    assert found.status == "READY"
    assert found.tags["target"] == "target_ender_20"
    assert found.source.startswith("file://")


def test_without_evidence_there_is_none_to_compare_with(tracker, ensemble):
    ship(tracker, ensemble)
    champion = champion_info(tracker)
    assert (champion.scores, champion.verdict, champion.oof) == (None, None, None)


def test_the_same_signature_is_the_same_version(tracker, ensemble):
    first, second = ship(tracker, ensemble), ship(tracker, ensemble)
    assert (second.number, second.run_id, second.reused) == (first.number, first.run_id, True)
    assert len(tracker.link.call("search_model_versions", "name = 'eraflow-ensemble'")) == 1


def test_judged_again_the_same_ensemble_carries_the_new_verdict(tracker, ensemble, evidence):
    ship(tracker, ensemble, **evidence)
    evidence["verdict"].write_text(json.dumps({"passed": True, "note": "again"}))
    assert ship(tracker, ensemble, **evidence).number == 1
    assert champion_info(tracker).verdict["note"] == "again"


def test_the_alias_moves_on_and_back(tracker, ensemble, tmp_path):
    ship(tracker, ensemble)
    other = write_ensemble(tmp_path / "other", seed=1)
    assert ship(tracker, other, "def456").number == 2
    out = load_champion(tracker, tmp_path / "out")
    assert content(out) == content(other)
    assert ship(tracker, ensemble).number == 1
    assert content(load_champion(tracker, tmp_path / "out")) == content(ensemble)


@pytest.mark.parametrize("harm", ["changed", "shortened", "removed", "manifest"])
def test_a_damaged_file_is_named_and_nothing_is_replaced(tracker, ensemble, tmp_path, harm):
    ship(tracker, ensemble)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("kept")
    victim = stored(tracker, "manifest.json" if harm == "manifest" else "model.bin")
    whole = victim.read_bytes()
    if harm == "removed":
        victim.unlink()
    else:
        victim.write_bytes(whole[:-1] if harm == "shortened" else bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(ChampionDamagedError, match=victim.name.replace(".json", "")):
        load_champion(tracker, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]
    assert not list(tmp_path.glob(".champion*"))


def test_damaged_scores_are_named(tracker, ensemble, evidence):
    ship(tracker, ensemble, **evidence)
    stored(tracker, "scores.json").write_text('{"blend": {"corr": [9.9, 9.9]}}')
    with pytest.raises(ChampionDamagedError, match=r"scores\.json differs"):
        champion_info(tracker)


def test_registering_again_repairs_a_damaged_version(tracker, ensemble, tmp_path):
    ship(tracker, ensemble)
    stored(tracker, "model.bin").unlink()
    assert ship(tracker, ensemble).number == 1
    assert content(load_champion(tracker, tmp_path / "out")) == content(ensemble)


def test_a_folder_that_is_the_champion_already_stays(tracker, ensemble, tmp_path):
    ship(tracker, ensemble)
    out = load_champion(tracker, tmp_path / "out")
    before = (out / "ensemble.json").stat().st_ino
    load_champion(tracker, out)
    assert (out / "ensemble.json").stat().st_ino == before
    (out / "stray.txt").write_text("x")
    assert content(load_champion(tracker, out)) == content(ensemble)


def test_an_upload_that_dies_leaves_the_champion_before(tracker, ensemble, tmp_path, monkeypatch):
    ship(tracker, ensemble)
    call = type(tracker.link).call

    def dies(self, method, *args, **kwargs):
        if method == "set_registered_model_alias":
            raise TrackingError("the power went", "try again")
        return call(self, method, *args, **kwargs)

    other = write_ensemble(tmp_path / "other", seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(type(tracker.link), "call", dies)
        with pytest.raises(TrackingError, match="power"):
            ship(tracker, other, "def456")
    assert champion_info(tracker).signature == "abc123"
    assert ship(tracker, other, "def456").number == 2
    assert champion_info(tracker).signature == "def456"


def test_a_moved_home_keeps_its_champion(tracker, ensemble, evidence, tmp_path):
    ship(tracker, ensemble, **evidence)
    shutil.move(tracker.home, tmp_path / "moved")
    moved = Tracker(tmp_path / "moved", TrackingSettings())
    assert content(load_champion(moved, tmp_path / "out")) == content(ensemble)
    assert champion_info(moved).scores == {"blend": {"corr": [0.1, 0.2]}}


@pytest.mark.parametrize("tags", [{}, {"signature": ""}, {"signature": "a' or 1"}])
def test_a_missing_or_strange_signature_is_refused(tracker, ensemble, tags):
    with pytest.raises(TrackingError, match="plain signature"):
        register_champion(tracker, ensemble, "f" * 32, tags)


def test_missing_files_are_refused_before_anything_is_registered(tracker, ensemble, tmp_path):
    with pytest.raises(TrackingError, match="holds no ensemble"):
        ship(tracker, tmp_path / "absent")
    with pytest.raises(TrackingError, match=r"gone\.json is not there"):
        ship(tracker, ensemble, scores=tmp_path / "gone.json")
    assert champion_info(tracker) is None


def test_a_version_that_somebody_else_made_champion_is_named(tracker):
    with tracker.run("week") as run:
        pass
    tracker.link.call("create_registered_model", "eraflow-ensemble")
    tracker.link.call("create_model_version", "eraflow-ensemble", "file:///nowhere", run.run_id)
    tracker.link.call("set_registered_model_alias", "eraflow-ensemble", registry.ALIAS, "1")
    with pytest.raises(ChampionDamagedError, match="not registered by Eraflow"):
        champion_info(tracker)


@pytest.mark.parametrize(
    "other",
    [
        {"slot": "id-beta", "slot_name": "beta"},
        {"target": "target_ender_60"},
        {"source": "numerai/v5.4"},
        {"source": "folder-0123456789ab/v5.3"},
    ],
)
def test_no_other_slot_target_version_or_source_takes_a_champion_s_place(tracker, ensemble, tmp_path, other):
    theirs = replace(ALPHA, **other)
    ship(tracker, ensemble, seat=ALPHA)
    assert champion_info(tracker, theirs) is None
    assert load_champion(tracker, tmp_path / "out", theirs) is None
    second = write_ensemble(tmp_path / "second", seed=1)
    ship(tracker, second, "def456", seat=theirs)
    assert champion_info(tracker, ALPHA).signature == "abc123"
    assert content(load_champion(tracker, tmp_path / "mine", ALPHA)) == content(ensemble)
    assert content(load_champion(tracker, tmp_path / "theirs", theirs)) == content(second)
    assert [seat for seat, _, _ in seats(tracker)] == [ALPHA, theirs]
    assert champion_info(tracker).signature == "def456"  # for people: the last one shipped


def test_one_ensemble_in_two_slots_keeps_two_verdicts(tracker, ensemble, evidence):
    """The same settings for two slots make the same ensemble, but each was judged by its own thresholds."""
    beta = replace(ALPHA, slot="id-beta", slot_name="beta")
    ship(tracker, ensemble, seat=ALPHA, **evidence)
    evidence["verdict"].write_text(json.dumps({"passed": True, "note": "for beta"}))
    ship(tracker, ensemble, seat=beta, **evidence)
    assert champion_info(tracker, ALPHA).verdict == {"passed": True}
    assert champion_info(tracker, beta).verdict["note"] == "for beta"
    assert ship(tracker, ensemble, seat=ALPHA, **evidence).reused
    assert champion_info(tracker, ALPHA).seat == ALPHA


def test_a_slot_that_was_renamed_keeps_its_champion(tracker, ensemble):
    ship(tracker, ensemble, seat=ALPHA)
    assert champion_info(tracker, replace(ALPHA, slot_name="renamed")).signature == "abc123"
