"""A run is made ready to be built again: the same decisions, the same files, and nothing that acts outside."""

import json
from pathlib import Path

import pytest

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import file_sha256
from eraflow.runs import stage
from eraflow.runs.identity import note_data, note_payout
from eraflow.runs.rebuilding import (
    NotRebuildableError,
    RoundDataGoneError,
    begin_rebuilding,
    lay_out_files,
    rebuilt_settings,
    verified_files,
)
from eraflow.runs.unfinished import note_run
from tests.weeks import tiny


def finished(folder: Path, name: str, **metrics: object) -> None:
    stage.begin(folder / name, "s")
    stage.finish(folder / name, name, "s", metrics=metrics, seconds=1, peak_mb=1, attempts=1, provenance={})


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "home" / "runs" / "one"
    folder.mkdir(parents=True)
    note_run(tmp_path / "home", folder, "weekly", None)
    models = [{"kind": "lightgbm", "tuned": True}, {"kind": "xgboost"}, {"kind": "catboost"}]
    settings = tiny(
        tmp_path / "home",
        models=models,
        source={"kind": "numerai"},
        submit={"model": "mine", "replace": True},
        tracking={"enabled": True},
        gate={"on_block": "champion"},
        alert={"block": "slack/me"},
        search={"before_training": True},
    )
    (folder / "settings.json").write_text(settings.model_dump_json())
    finished(folder, "train-lightgbm", params={"n_estimators": 77})
    finished(folder, "blend", ensemble_signature="e")
    write_json(folder / "lost.json", {"train-xgboost": {}, "select": {}})
    write_json(folder / "left_out.json", {"catboost": {}})
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.parquet", "live.parquet"):
        (data / name).write_text(name)
    note_data(folder, {path.name: _told(path) for path in data.iterdir()})
    note_payout(folder, {"corr": 0.5, "mmc": 2.0}, 0.05)
    return folder


def _told(path):
    return {"path": str(path), "sha256": file_sha256(path), "bytes": path.stat().st_size}


def test_nothing_acts_outside_and_what_decides_is_as_it_was(run_dir, tmp_path):
    found = rebuilt_settings(run_dir, tmp_path / "new", tmp_path / "files")
    assert found.submit.dry_run
    assert (found.source.kind, found.source.data_dir) == ("sandbox", str(tmp_path / "files"))
    assert not found.tracking.enabled
    assert (found.alert.block, found.gate.on_block, found.search.before_training) == (None, "hold", False)
    assert found.home_path == tmp_path / "new"
    assert [(one.name, one.tuned, one.params) for one in found.models] == [("lightgbm", False, {"n_estimators": 77})]
    assert (found.payout.multipliers, found.payout.clip) == ({"corr": 0.5, "mmc": 2.0}, 0.05)
    assert found.windows == tiny(tmp_path).windows


def test_its_folder_holds_the_settings_and_is_that_of_a_run(run_dir, tmp_path):
    found = begin_rebuilding(rebuilt_settings(run_dir, tmp_path / "new", tmp_path / "files"))
    place = Path(found.run_dir)
    assert place.parent == tmp_path / "new" / "runs"
    assert json.loads((place / "run.json").read_text())["flow"] == "weekly"
    assert json.loads((place / "settings.json").read_text())["run_dir"] == found.run_dir


def test_the_files_are_laid_out_from_where_they_lay_or_from_a_folder(run_dir, tmp_path):
    lay_out_files(verified_files(run_dir), tmp_path / "files")
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["live.parquet", "train.parquet"]
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(RoundDataGoneError, match=r"2 of 2 files.*gone.*--data"):
        verified_files(run_dir)
    lay_out_files(verified_files(run_dir, tmp_path / "moved"), tmp_path / "again")
    assert (tmp_path / "again" / "live.parquet").read_text() == "live.parquet"
    (tmp_path / "moved" / "live.parquet").write_text("live.PARQUET")
    with pytest.raises(RoundDataGoneError, match=r"1 of 2 files.*has changed"):
        verified_files(run_dir, tmp_path / "moved")


@pytest.mark.parametrize("flow", ["daily", "research"])
def test_a_run_that_trained_nothing_is_refused(run_dir, tmp_path, flow):
    write_json(run_dir / "run.json", {"flow": flow, "flow_runs": []})
    with pytest.raises(NotRebuildableError, match="trained no ensemble"):
        rebuilt_settings(run_dir, tmp_path / "new", tmp_path / "files")


def test_a_run_without_a_blend_or_without_its_files_is_refused(run_dir, tmp_path):
    (run_dir / "inputs.json").unlink()
    with pytest.raises(NotRebuildableError, match="which files"):
        verified_files(run_dir)
    (run_dir / "blend" / "manifest.json").unlink()
    with pytest.raises(NotRebuildableError, match="before its blend"):
        rebuilt_settings(run_dir, tmp_path / "new", tmp_path / "files")
