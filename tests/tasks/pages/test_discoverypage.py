"""What people see of the selection and of importances; no server is needed for it."""

import json
import logging

import numpy as np
import pytest

import tasks.pages.discoverypage as discoveries
import tasks.select as selecting
from eraflow.discovery.association import DiscoveryDataError
from eraflow.discovery.drift import history_path, recall
from eraflow.discovery.stage import SELECTION, SelectJob, select_features
from eraflow.errors import SettingsError
from eraflow.machine.plan import Plan
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import week_record
from eraflow.settings.run import RunSettings
from eraflow.settings.selection import SelectionSettings
from models.training.importance import write_fold_importance
from tasks.run import Run
from tasks.select import select, selection_in_words
from tests.eraflow.discovery.test_stage import WINDOWS, labels
from tests.eraflow.discovery.worlds import TARGET, draw, store_of


@pytest.fixture
def artifacts(monkeypatch):
    made = {}
    monkeypatch.setattr(
        discoveries,
        "create_markdown_artifact",
        lambda text, *, key, description: made.update({key: (description, text)}),
    )
    return made


@pytest.fixture
def run(tmp_path):
    return Run(RunSettings(home=str(tmp_path / "home")), tmp_path / "run")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    x, y = draw(np.tile([0.3, -0.3], (120, 1)), features=8, rows=60)
    return store_of(x, y, tmp_path_factory.mktemp("world") / "store")


def record(folder, metrics=None):
    return StageRecord("select", str(folder), "signature", {}, metrics or {})


def selected(store, out, method):
    job = SelectJob(
        windows=WINDOWS,
        final_eras=tuple(labels(120)),
        target=TARGET,
        overlap_weeks=5,
        selection=SelectionSettings(method=method, least=2),
        store=store.path,
    )
    return select_features(job, out, Plan(threads=1))


def test_without_a_method_nothing_is_selected(run):
    assert select(run, None) is None


def test_the_selection_is_shown_with_reasons_and_its_drift_is_remembered(store, run, artifacts, tmp_path):
    metrics = selected(store, tmp_path / "select", "invariant")
    made = record(tmp_path / "select", metrics)
    discoveries.show_selection(made)
    discoveries.show_associations(run.settings, TARGET, made)
    text = artifacts["selection"][1]
    assert "feature_000" in text
    assert "association not significant" in text
    assert "| live |" in text
    assert "p of equal blocks" in text
    key = "drift-association-target-ender-20"
    assert "data:image/png;base64," in artifacts[key][1]
    assert "| 0027-0052 |" in artifacts[key][1]
    history = recall(history_path(run.settings.home_path, "association", "", TARGET))
    assert list(history) == [run.settings.data.version]
    assert history["v5.3"].strongest(2).features in (("feature_000", "feature_001"), ("feature_001", "feature_000"))
    assert json.loads((made.path / SELECTION).read_text())["method"] == "invariant"


def test_a_column_that_says_nothing_is_not_shown(store, artifacts, tmp_path):
    metrics = selected(store, tmp_path / "select", "association")
    discoveries.show_selection(record(tmp_path / "select", metrics))
    assert "same sign" in artifacts["selection"][1]
    assert "nan" not in artifacts["selection"][1]
    assert "p of equal blocks" not in artifacts["selection"][1]


class Linear:
    kind = "mlp"

    def predict(self, x, *, plan=None):
        return x[:, 0].astype(float) - x[:, 1]


def test_importances_of_all_folds_are_one_table_and_one_heat_map(store, run, artifacts, tmp_path):
    for position, eras in enumerate([labels(90, 40), labels(120, 90)]):
        write_fold_importance(tmp_path, position, Linear(), store, TARGET, eras, rows=200, seed=1, plan=Plan(threads=1))
    discoveries.show_importance(run.settings, "mlp", record(tmp_path))
    assert list(artifacts) == ["importance-mlp", "drift-permutation-mlp"]
    assert "feature_000" in artifacts["importance-mlp"][1].split("feature_005")[0]
    assert len(recall(history_path(run.settings.home_path, "permutation", "mlp", ""))["v5.3"].blocks) == 4


def test_no_importance_shows_nothing_and_a_bad_history_costs_nothing(store, run, artifacts, tmp_path, caplog):
    discoveries.show_importance(run.settings, "mlp", record(tmp_path))
    assert artifacts == {}
    path = history_path(run.settings.home_path, "permutation", "mlp", "")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    write_fold_importance(tmp_path, 0, Linear(), store, TARGET, labels(90, 40), rows=200, seed=1, plan=Plan(threads=1))
    discoveries.show_importance(run.settings, "mlp", record(tmp_path))
    assert "remove it" in caplog.text
    assert "drift-permutation-mlp" in artifacts


class Lost:
    """The state of a task that failed for good."""

    def __init__(self, error):
        self.error = error

    def is_completed(self):
        return False

    def result(self, raise_on_failure=True):
        if raise_on_failure:
            raise self.error
        return self.error


@pytest.fixture
def told(monkeypatch):
    heard = []
    monkeypatch.setattr(selecting, "tell_people", lambda _run, subject, _text: heard.append(subject))
    monkeypatch.setattr(selecting, "get_run_logger", lambda: logging.getLogger("test"))
    return heard


def test_a_lost_selection_costs_itself_and_is_told_but_a_wrong_setting_ends_the_week(tmp_path, monkeypatch, told):
    asked = Run(RunSettings(home=str(tmp_path), selection={"method": "invariant"}), tmp_path / "run")
    monkeypatch.setattr(selecting, "_select", lambda *_, **__: Lost(DiscoveryDataError("too few eras", "use more")))
    asked.path.mkdir()
    assert select(asked, None) is None
    assert week_record(asked.path)["lost_selection"]["code"] == DiscoveryDataError.code
    assert told == ["Eraflow: the selection of features is lost, all are used"]
    monkeypatch.setattr(selecting, "_select", lambda *_, **__: Lost(SettingsError("wrong", "correct it")))
    with pytest.raises(SettingsError):
        select(asked, None)
    assert len(told) == 1


def test_features_that_no_test_speaks_for_are_counted_in_the_log():
    metrics = {"chosen": {"0": 20, "live": 31}, "outcomes": {"0": {"kept to reach the least number": 12}, "live": {}}}
    assert selection_in_words(metrics) == "window 0 20 (12 only to reach the least number), window live 31"


def test_an_importance_that_cannot_be_read_or_drawn_costs_the_page_alone(run, artifacts, tmp_path, monkeypatch, store):
    (tmp_path / "importance-0.parquet").write_bytes(b"no parquet")
    discoveries.show_importance(run.settings, "lightgbm", record(tmp_path))
    monkeypatch.setattr(discoveries, "drift_map", lambda *_, **__: 1 / 0)
    drift = discoveries.Drift(("a", "b"), ("0001-0026",), np.array([[0.1], [0.2]]))
    discoveries.show_drift(run.settings, drift, measure="gain", model="lightgbm", target="")
    assert artifacts == {}
