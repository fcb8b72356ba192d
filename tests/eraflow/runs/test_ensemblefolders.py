"""The folder of a further ensemble: like that of a run, with the week's members, and never rewritten once it ended."""

import json

import pytest

from eraflow.disk.ownership import is_run_dir
from eraflow.runs.ensemblefolders import (
    NoSuchEnsembleError,
    begin_ensemble,
    ensemble_folders,
    link_stages,
    require_ensemble,
    week_of,
)
from eraflow.runs.stage import begin, finish, require


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"flow": "weekly", "flow_runs": ["id"]}))
    return tmp_path


def member(run_dir, text, signature="s"):
    folder = run_dir / "train-a"
    begin(folder, signature)
    (folder / "oof.parquet").write_text(text)
    return finish(folder, "train-a", signature, metrics={}, seconds=1.0, peak_mb=None, attempts=1, provenance={})


def test_it_is_the_folder_of_a_run_and_knows_its_week(run_dir):
    folder = begin_ensemble(run_dir, "solo", "{}", "slot")
    assert is_run_dir(folder)
    assert ensemble_folders(run_dir) == {"solo": folder}
    assert week_of(folder) == week_of(run_dir) == run_dir
    assert require_ensemble(run_dir, "solo") == folder
    with pytest.raises(NoSuchEnsembleError, match="it made solo"):
        require_ensemble(run_dir, "sola")


def test_one_that_has_ended_is_not_rewritten(run_dir):
    folder = begin_ensemble(run_dir, "solo", "{}", "slot")
    (folder / "record.json").write_text(json.dumps({"outcome": "submitted"}))
    begin_ensemble(run_dir, "solo", '{"changed": 1}', "slot")
    assert (folder / "settings.json").read_text() == "{}"


def test_its_members_are_the_very_files_of_the_week_and_follow_when_these_are_made_anew(run_dir):
    folder = begin_ensemble(run_dir, "solo", "{}", None)
    [linked] = link_stages(folder, [member(run_dir, "old")])
    assert (folder / "train-a" / "oof.parquet").stat().st_ino == (run_dir / "train-a" / "oof.parquet").stat().st_ino
    assert linked.files == require(run_dir / "train-a").files
    [linked] = link_stages(folder, [member(run_dir, "new", "another")])
    assert (linked.path / "oof.parquet").read_text() == "new"
