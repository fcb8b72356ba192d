"""What a run is, told in one place and alike everywhere."""

import json
import re

import pytest

from eraflow.disk.atomic import write_json
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import Plan
from eraflow.runs import stage
from eraflow.runs.identity import data_files, identity, identity_tags, note_data, note_origin
from eraflow.runs.weekrecord import forget_last_outcome, week_record, write_outcome
from tests.weeks import tiny

FILES = {"train.parquet": {"path": "/d/train.parquet", "sha256": "a" * 64, "bytes": 3}}
EVERYTHING = {
    *("name", "command", "started", "ended", "git_commit", "git_dirty", "python", "platform", "cpu", "cores", "ram_mb"),
    *("gpus", "libraries", "settings_sha256", "data_sha256", "weights_sha256", "submission_sha256"),
    "not_deterministic",
}


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    forget_last_outcome(folder)
    note_origin(folder, ["eraflow", "run", "--set", "alert.ping_url=https://hc.example/secret"])
    (folder / "settings.json").write_text(tiny(tmp_path / "home").model_dump_json())
    note_data(folder, FILES)
    stage.begin(folder / "blend", "s")
    told = {"ensemble_signature": "f" * 64}
    stage.finish(folder / "blend", "blend", "s", metrics=told, seconds=1, peak_mb=1, attempts=1, provenance={})
    return folder


def test_a_run_tells_everything_by_which_it_can_be_rebuilt(run_dir):
    record = write_outcome(run_dir)
    told = record["identity"]
    assert set(told) == EVERYTHING
    assert [name for name in EVERYTHING if told[name] is None] in (["submission_sha256"], [])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_w\d\d_[0-9a-f]{8}_f{8}", told["name"])
    assert told["ended"] >= told["started"]
    assert "secret" not in json.dumps(told)
    assert json.loads((run_dir / "record.json").read_text()) == week_record(run_dir) == record


def test_the_name_follows_the_settings_that_decide_and_no_others(run_dir, tmp_path):
    before = identity(run_dir)
    (run_dir / "settings.json").write_text(tiny(tmp_path / "elsewhere", machine={"threads": 2}).model_dump_json())
    assert identity(run_dir)["name"] == before["name"]
    (run_dir / "settings.json").write_text(tiny(tmp_path / "home", seed=8).model_dump_json())
    assert identity(run_dir)["settings_sha256"] != before["settings_sha256"]


def test_an_older_run_has_a_name_too(tmp_path):
    write_json(tmp_path / "clock.json", {"started": 1_763_700_000.0})
    told = identity(tmp_path)
    assert told["name"] == "2025-11-21_w47_unknown_unknown"
    assert data_files(tmp_path) == {}
    assert set(told) == EVERYTHING


def test_the_shipped_ensemble_names_the_run_where_it_is_another(run_dir):
    write_json(run_dir / "submission" / "record.json", {"ensemble_signature": "c" * 64, "file": {"sha256": "d" * 64}})
    told = identity(run_dir)
    assert told["name"].endswith("_cccccccc")
    assert told["submission_sha256"] == "d" * 64


def test_tags_are_text_and_hold_no_blanks(run_dir):
    tags = identity_tags(run_dir)
    assert tags["run.name"] == identity(run_dir)["name"]
    assert all(isinstance(value, str) and value for value in tags.values())


@pytest.mark.parametrize(("params", "words"), [({}, "may change"), ({"deterministic": False}, "deterministic=false")])
def test_what_was_trained_on_a_gpu_says_that_it_may_differ(run_dir, params, words):
    assert identity(run_dir)["not_deterministic"] == {}
    folder = run_dir / "train-mlp"
    stage.begin(folder, "s")
    ledger = Ledger(folder / stage.LEDGER)
    ledger.finish(ledger.start(Plan(threads=1, device="cuda")), "ok")
    stage.finish(folder, "train-mlp", "s", metrics={"params": params}, seconds=1, peak_mb=1, attempts=1, provenance={})
    assert words in identity(run_dir)["not_deterministic"]["train-mlp"]
