"""A champion in every store comes back byte for byte; what is wrong with a store is told by name."""

import json
import os
import shutil
import sys
import time

import pytest
from pydantic import ValidationError

from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking import artifactstore
from eraflow.tracking.artifactstore import (
    StoreExtraMissingError,
    StoreKeysError,
    StoreMissingError,
    StoreUnreachableError,
    check_store,
)
from eraflow.tracking.registry import champion_info, load_champion, register_champion
from eraflow.tracking.shippedfiles import ChampionDamagedError
from eraflow.tracking.tracking import DATABASE, Tracker
from tests.eraflow.tracking.test_registry import ALPHA, content, ship, write_ensemble
from tests.model_stores import environment, opened


@pytest.fixture(params=["folder", "s3", "gs"])
def store(request, tmp_path):
    with opened(request.param, tmp_path) as running:
        yield running


@pytest.fixture
def tracker(store, fresh_home, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(fresh_home.tables, home / DATABASE)
    return Tracker(home, TrackingSettings(artifacts=store.root))


@pytest.fixture
def ensemble(tmp_path):
    return write_ensemble(tmp_path / "ensemble")


@pytest.fixture
def verdict(tmp_path):
    (tmp_path / "verdict.json").write_text(json.dumps({"passed": True}))
    return tmp_path / "verdict.json"


def test_a_champion_comes_back_from_the_store(tracker, ensemble, verdict, tmp_path):
    ship(tracker, ensemble, seat=ALPHA, verdict=verdict)
    assert content(load_champion(tracker, tmp_path / "out", ALPHA)) == content(ensemble)
    assert champion_info(tracker, ALPHA).verdict == {"passed": True}
    assert not (tracker.home / "mlartifacts").exists()


@pytest.mark.parametrize(
    ("name", "change"),
    [("model.bin", lambda old: old + b" "), ("manifest.json", lambda old: old.replace(b"5000", b"5001"))],
)
def test_what_was_changed_in_the_store_is_refused(store, tracker, ensemble, tmp_path, name, change):
    ship(tracker, ensemble)
    store.change(name, change)
    with pytest.raises(ChampionDamagedError, match=name.replace(".json", "")):
        load_champion(tracker, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_and_manifest_that_were_changed_together_are_refused(store, tracker, ensemble, tmp_path):
    from eraflow.disk.digest import value_sha256

    ship(tracker, ensemble)
    store.change("ensemble.json", lambda old: b"{}")
    forged = value_sha256({})  # of `{}` as JSON, which is also the file's own hash

    def forge(old):
        values = json.loads(old)
        values["files"]["ensemble/ensemble.json"] = {"bytes": 2, "sha256": forged}
        return json.dumps(values).encode()

    store.change("manifest.json", forge)
    with pytest.raises(ChampionDamagedError, match="was registered"):
        load_champion(tracker, tmp_path / "out")


def test_a_file_that_is_gone_is_damage_and_not_a_dead_store(store, tracker, ensemble, tmp_path):
    ship(tracker, ensemble)
    store.change("model.bin", None)
    with pytest.raises(ChampionDamagedError, match=r"model\.bin"):
        load_champion(tracker, tmp_path / "out")


def test_a_store_that_died_is_named_and_the_copy_in_the_home_serves(store, tracker, ensemble, verdict, tmp_path):
    if store.kind == "folder":
        pytest.skip("a folder does not die")
    ship(tracker, ensemble, verdict=verdict)
    load_champion(tracker, tmp_path / "out")
    champion_info(tracker)
    store.stop()
    assert content(load_champion(tracker, tmp_path / "again")) == content(ensemble)
    assert champion_info(tracker).verdict == {"passed": True}
    shutil.rmtree(tracker.home / "champion")
    begun = time.monotonic()
    with pytest.raises(StoreUnreachableError, match="does not answer"):
        tracker.check_store()
    assert time.monotonic() - begun < 60
    with pytest.raises(StoreUnreachableError):
        register_champion(tracker, ensemble, champion_info_run(tracker), {"signature": "new"})


def champion_info_run(tracker):
    found = tracker.link.call("search_model_versions", "name = 'eraflow-ensemble'")
    return found[0].run_id


def test_a_copy_that_was_spoilt_is_fetched_anew_and_a_cut_download_goes_on(store, tracker, ensemble, tmp_path):
    if store.kind == "folder":
        pytest.skip("nothing of a folder is copied")
    ship(tracker, ensemble)
    load_champion(tracker, tmp_path / "out")
    (copy,) = (tracker.home / "champion").glob("v1-*/ensemble")
    (copy / "ensemble.json").write_text("spoilt")
    assert content(load_champion(tracker, tmp_path / "second")) == content(ensemble)
    # As a kill would leave it: one file whole, one half, none under its final name.
    waiting = copy.with_name(".ensemble.part")
    copy.rename(waiting)
    (waiting / "models" / "lightgbm" / "model.bin").write_bytes(b"half")
    whole = (waiting / "ensemble.json").stat().st_ino
    assert content(load_champion(tracker, tmp_path / "third")) == content(ensemble)
    assert (copy / "ensemble.json").stat().st_ino == whole
    assert not waiting.exists()


def test_each_root_has_an_experiment_of_its_own_and_versions_of_all_are_found(store, tracker, ensemble, tmp_path):
    ship(tracker, ensemble)
    at_home = Tracker(tracker.home, TrackingSettings())
    other = write_ensemble(tmp_path / "other", seed=1)
    assert ship(at_home, other, "def456").number == 2
    assert (tracker.home / "mlartifacts").is_dir()
    assert ship(tracker, ensemble).number == 1
    for one in (tracker, at_home):
        assert content(load_champion(one, tmp_path / "out")) == content(ensemble)


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_a_wrong_bucket_and_missing_keys_have_names(kind, tmp_path):
    with opened(kind, tmp_path):
        with pytest.raises(StoreMissingError, match="no bucket elsewhere"):
            check_store(f"{kind}://elsewhere/numerai")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "STORAGE_EMULATOR_HOST"):
            os.environ.pop(name, None)
        with (
            environment(AWS_EC2_METADATA_DISABLED="true", HOME=str(tmp_path), NO_GCE_CHECK="true"),
            pytest.raises(StoreKeysError, match=r"AWS_ACCESS_KEY_ID|GOOGLE_APPLICATION_CREDENTIALS"),
        ):
            check_store(f"{kind}://models/numerai")


@pytest.mark.parametrize(("uri", "module"), [("s3://models", "boto3"), ("gs://models", "google.cloud.storage")])
def test_a_missing_library_is_named_with_its_extra(uri, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(StoreExtraMissingError, match=r"EXTRAS=networks,(s3|gcs)"):
        check_store(uri)


def test_keys_that_the_store_refuses_are_told(monkeypatch):
    from botocore.exceptions import ClientError

    for code, error in (("AccessDenied", StoreKeysError), ("NoSuchBucket", StoreMissingError)):
        refusal = ClientError({"Error": {"Code": code, "Message": "said"}}, "ListObjectsV2")
        assert isinstance(artifactstore._refusal("s3://models", code, refusal), error)


def test_a_folder_below_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreMissingError, match="write"):
        Tracker(tmp_path / "home", TrackingSettings(artifacts=str(tmp_path / "file" / "below"))).check_store()


@pytest.mark.parametrize(
    "text", ["relative/folder", "s3://", "s3://key:secret@bucket", "ftp://host/x", "gs://bucket?x=1", "file:relative"]
)
def test_what_is_no_root_is_refused_by_the_settings(text):
    with pytest.raises(ValidationError):
        TrackingSettings(artifacts=text)


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("s3://bucket/a/", "s3://bucket/a"),
        ("file:///a/b/", "/a/b"),
        ("/a/b/", "/a/b"),
        ("", None),
        ("gs://b", "gs://b"),
    ],
)
def test_a_root_is_written_in_one_way(text, root):
    assert TrackingSettings(artifacts=text).artifacts == root


def test_a_folder_that_is_named_like_the_home_s_own_stays_where_it_is(fresh_home, ensemble, tmp_path):
    """A moved home takes its own files with it, and only those."""
    home, named = tmp_path / "home", tmp_path / "elsewhere" / "mlartifacts"
    home.mkdir()
    shutil.copyfile(fresh_home.tables, home / DATABASE)
    ship(Tracker(home, TrackingSettings(artifacts=str(named))), ensemble)
    ship(Tracker(home, TrackingSettings()), write_ensemble(tmp_path / "other", seed=1), "def456")
    home.rename(tmp_path / "moved")
    moved = Tracker(tmp_path / "moved", TrackingSettings(artifacts=str(named)))
    assert ship(moved, ensemble).number == 1
    assert content(load_champion(moved, tmp_path / "out")) == content(ensemble)
