"""What MLflow's pages find: columns of scores, and the files of each model where the pages of models look."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from eraflow.tracking.mlflowlink import TrackingError
from eraflow.tracking.mlflowview import SHOWN, VIEW_TAG, experiment_page, log_model
from eraflow.tracking.registry import register_champion
from eraflow.tracking.tracking import Tracker


def made(tmp_path):
    folder = tmp_path / "model"
    (folder / "models").mkdir(parents=True)
    (folder / "ensemble.json").write_text("{}")
    (folder / "models" / "trees.txt").write_text("trees")
    return folder


def test_the_page_of_the_experiment_shows_the_scores_as_columns(tracker):
    page = experiment_page(tracker)
    number = tracker.experiment_id()
    assert page == f"#/experiments/{number}/runs?viewStateShareKey=scores"
    tags = tracker.link.call("get_experiment", number).tags
    columns = json.loads(tags[VIEW_TAG])["selectedColumns"]
    assert columns[: len(SHOWN)] == [f"metrics.`{name}`" for name in ("CORR", "payout", "MMC", "BMC")]
    assert experiment_page(Tracker(tracker.home, tracker.settings)) == page


def test_a_models_files_and_figures_are_on_its_page_and_those_of_its_versions(tracker, tmp_path):
    with tracker.run("round 7 blend", kind="ensemble", tags={"signature": "s"}) as run:
        identity = log_model(
            tracker, run, "blend", made(tmp_path), params={"a": {"b": 1}}, tags={"round": 7, "x": None}
        )
        run.log_metrics({"CORR": 0.02}, identity)
        run.log_per_era("corr", ["0001", "0002"], [0.1, -0.3])
    version = register_champion(tracker, tmp_path / "model", run.run_id, {"signature": "s"})
    found = tracker.link.call("get_model_version", version.model, str(version.number))
    assert found.source == f"models:/{identity}"
    model = tracker.link.call("get_logged_model", identity)
    assert (model.status, model.params, model.tags["round"]) == ("READY", {"a.b": "1"}, "7")
    assert [(metric.key, metric.value) for metric in model.metrics] == [("CORR", 0.02)]
    listed = {file.path for file in tracker.link.call("list_logged_model_artifacts", identity)}
    assert listed == {"ensemble.json", "models"}
    history = tracker.link.call("get_metric_history", run.run_id, "cumulative/corr")
    assert [(point.step, point.value) for point in history] == [(1, 0.1), (2, pytest.approx(-0.2))]


def test_a_finished_run_gets_no_second_model_and_a_model_without_files_is_named(tracker, tmp_path):
    with tracker.run("m", tags={"signature": "t"}) as run, pytest.raises(TrackingError, match="is not there"):
        log_model(tracker, run, "m", tmp_path / "gone", params={}, tags={})
    with tracker.run("m", tags={"signature": "t"}) as again:
        assert again.reused
        assert log_model(tracker, again, "m", tmp_path / "gone", params={}, tags={}) is None


def test_a_moved_home_finds_the_files_of_its_models(tracker, tmp_path):
    with tracker.run("m") as run:
        identity = log_model(tracker, run, "m", made(tmp_path), params={}, tags={})
    place = tracker.home.rename(tmp_path / "elsewhere")
    moved = Tracker(place, tracker.settings)
    moved.experiment_id()
    found = Path(urlsplit(moved.link.call("get_logged_model", identity).artifact_location).path)
    assert found.is_relative_to(place)
    assert (found / "ensemble.json").is_file()  # MLflow's own listing remembers the former place in one process
