"""What is refused before a server is started."""

import sqlite3

import pytest

from eraflow.data.eras import UnknownHorizonError
from eraflow.numerai.keys import MissingKeysError, may_hold_block
from eraflow.settings.override import settings_from
from eraflow.settings.run import RunSettings
from flows.command.starting.earlycheck import refuse_early
from models.base.protocol import ModelSettingsError


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY", "PREFECT_HOME", "PREFECT_API_DATABASE_CONNECTION_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def of(home, *assignments, profile="laptop"):
    return settings_from(profile, {"home": str(home)}, assignments)


@pytest.mark.parametrize("flow", ["weekly", "daily"])
def test_only_who_sends_to_numerai_needs_keys(flow, home, monkeypatch):
    with pytest.raises(MissingKeysError, match="--dry-run"):
        refuse_early(flow, of(home), "")
    refuse_early(flow, of(home, "submit.dry_run=true"), "")
    refuse_early(flow, of(home, profile="sandbox"), "")
    refuse_early("research", of(home), "")
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", "A")
    with pytest.raises(MissingKeysError):
        refuse_early(flow, of(home), "")
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "B")
    refuse_early(flow, of(home), "")
    assert not home.exists()


def test_a_block_in_the_history_of_the_home_may_hold_them(home):
    database = home / "prefect" / "prefect.db"
    database.parent.mkdir(parents=True)
    with sqlite3.connect(database) as connection:
        connection.execute("create table block_type (id text, slug text)")
        connection.execute("create table block_document (name text, block_type_id text)")
        connection.execute("insert into block_type values ('1', 'secret'), ('2', 'slack-webhook')")
        connection.execute("insert into block_document values ('numerai-keys', '2'), ('mine', '1')")
    assert not may_hold_block(database, "numerai-keys")
    assert may_hold_block(database, "mine")
    refuse_early("weekly", of(home, "source.keys_block=mine"), "")
    database.write_bytes(b"no database" * 100)  # Prefect itself tells of it
    assert may_hold_block(database, "numerai-keys")


@pytest.mark.parametrize(
    ("assignment", "error", "named"),
    [
        ("models.lightgbm.params.num_leafs=3", ModelSettingsError, "num_leafs"),
        ("models.xgboost.params.max_depht=3", ModelSettingsError, "max_depht"),
        ("models.catboost.params.depth=-4", ModelSettingsError, "depth"),
        ("data.target=target_of_my_own", UnknownHorizonError, "target_of_my_own"),
        ("models=lightgbm,lightgbm@mine", UnknownHorizonError, "mine"),
    ],
)
def test_what_no_learner_takes_is_refused_with_its_name(assignment, error, named, home):
    with pytest.raises(error, match=named):
        refuse_early("weekly", of(home, assignment, profile="sandbox"), "")
    refuse_early("daily", of(home, assignment, profile="sandbox"), "")  # the champion predicts: nothing is trained


def test_the_params_of_the_profiles_are_not_tried_each_time():
    from models.training.refusals import members_to_try

    for profile in ("sandbox", "laptop", "workstation"):
        assert members_to_try(RunSettings(profile=profile).models) == []
    bags = settings_from("laptop", {}, ["models=lightgbm:bag,xgboost:bag,catboost:bag,mlp:bag"])
    assert members_to_try(bags.models) == []


def test_each_recipe_of_a_bag_is_tried_over_the_params_of_its_member():
    from models.training.refusals import members_to_try

    recipes = 'models.lightgbm-bag.bag.recipes=[{"params": {"max_depth": 3}}, {"era_step": 2}, {"era_step": 4}]'
    settings = settings_from("laptop", {}, ["models=lightgbm:bag", recipes, "models.lightgbm-bag.params.lambda_l2=1"])
    tried = [one["params"] for one in members_to_try(settings.models)]
    assert tried == [{"lambda_l2": 1, "max_depth": 3}, {"lambda_l2": 1}]
