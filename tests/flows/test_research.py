"""A search through the real flow, children and sandbox; and its verb on the command line."""

import json
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from eraflow.errors import SettingsError
from eraflow.runs.conclusion import RunConcludedError
from eraflow.runs.unfinished import is_unfinished
from eraflow.settings.models import ModelSettings
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from flows.command.cli import parser
from flows.command.verbs.search import with_options
from flows.research import research
from models.search.best import tuned_params
from tasks.run import Run
from tasks.search import key_of, searched_models
from tests.weeks import tiny

BOOSTER = {"kind": "lightgbm", "params": {"n_estimators": 16, "learning_rate": 0.1}}


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_the_flow_searches_keeps_what_it_finds_and_submits_nothing(tmp_path):
    settings = tiny(
        tmp_path, run_dir=str(tmp_path / "run"), models=[BOOSTER], search={"trials": 3, "folds": 2, "finalists": 1}
    )
    record = research(settings)
    assert record["outcome"] == "searched"
    assert record["search"]["lightgbm"]["trials"] == 3
    assert json.loads((tmp_path / "run" / "record.json").read_text()) == record
    assert not (tmp_path / "run" / "submission").exists()
    assert not is_unfinished(tmp_path / "run")
    kept = tuned_params(tmp_path, "lightgbm", key_of(Run(settings, Path("unused")), settings.models[0]))
    assert kept == record["search"]["lightgbm"]["params"]
    judged = json.loads((tmp_path / "run" / "search-lightgbm" / "spec.json").read_text())["kwargs"]["job"]["eras"]
    assert max(map(int, judged["confirmation"]["test"])) < 65 - 8  # of 140 eras the backtest judges from the 65th on
    with pytest.raises(RunConcludedError):  # what has ended is never rewritten
        research(settings)
    assert json.loads((tmp_path / "run" / "record.json").read_text()) == record
    with get_client(sync_client=True) as client:
        key = ArtifactFilterKey(any_=["search-lightgbm"])  # the server gives 200 at most, and other tests wrote many
        assert client.read_artifacts(artifact_filter=ArtifactFilter(key=key))


def test_who_is_searched_for(tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    pass\n")
    own = {"kind": f"{tmp_path}/mine.py:Mine", "name": "mine"}
    bag = {"kind": "catboost", "bag": {"standard": True}}  # its learner is, as one fit
    models = [BOOSTER, {"kind": "xgboost"}, {"kind": "mlp"}, own, bag]
    names = [model.name for model in searched_models(Run(tiny(tmp_path, models=models), tmp_path))]
    assert names == ["lightgbm", "xgboost", "mlp", "catboost-bag"]
    one = tiny(tmp_path, models=models, search={"models": ["xgboost"]})
    assert [model.name for model in searched_models(Run(one, tmp_path))] == ["xgboost"]
    with pytest.raises(SettingsError, match="mine"):
        searched_models(Run(tiny(tmp_path, models=models, search={"models": ["mine"]}), tmp_path))
    with pytest.raises(SettingsError, match="no model"):
        searched_models(Run(tiny(tmp_path, models=[own]), tmp_path))


def test_under_laptop_the_bags_are_searched_as_their_learners(tmp_path):
    run = Run(settings_from("laptop", {"home": str(tmp_path)}), tmp_path)
    found = searched_models(run)
    assert [model.name for model in found] == ["lightgbm", "xgboost", "catboost", "mlp", "autoencoder"]
    assert [model.params for model in found] == [{}] * 5  # what a trial's one fit begins with; no recipe is in it
    plain = ModelSettings(kind="lightgbm", tuned=True)
    assert key_of(run, found[0]) == key_of(run, plain)  # so that lightgbm:tuned finds it


def test_the_options_of_the_verb_are_settings():
    arguments = parser().parse_args(["search", "--trials", "5", "--model", "xgboost", "--model", "catboost"])
    assert with_options(arguments).set == ["search.trials=5", 'search.models=["xgboost", "catboost"]']
    assert RunSettings().search.trials == 60
