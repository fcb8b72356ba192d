"""A stage that failed for good costs its model, not the week; what a person has to correct stops the week."""

from pathlib import Path

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock

from eraflow.errors import SettingsError
from flows.command.starting.summary import summary
from flows.command.terminal.printing import plain
from flows.weekly import weekly
from models.base.protocol import ConstantPredictionsError
from tests.weeks import receiver, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

SOUND = {"kind": "lightgbm", "params": {"n_estimators": 30, "learning_rate": 0.1}}
# It trains, and no split is ever allowed: all predictions are the same, which no other plan can cure.
HOPELESS = {"kind": "lightgbm", "name": "hopeless", "params": {"n_estimators": 5, "min_data_in_leaf": 1_000_000}}
WRONG = {"kind": "xgboost", "params": {"no_such_parameter": 3}}


def test_the_week_goes_on_without_it_and_says_so_everywhere(tmp_path):
    with receiver() as inbox:
        block = CustomWebhookNotificationBlock(
            name="lost", url=inbox.url, method="POST", json_data={"t": "{{subject}}"}
        )
        block.save("lost", overwrite=True)
        settings = tiny(tmp_path, models=[SOUND, HOPELESS], alert={"block": "custom-webhook/lost"})
        record = weekly(settings)
    assert record["outcome"] == "submitted"
    assert list(record["lost_models"]) == ["hopeless"]
    assert record["lost_models"]["hopeless"]["code"] == "constant_predictions"
    assert "hopeless" not in record["scores"]
    assert any("1 of 2 models were trained" in rule["text"] for rule in record["verdict"]["rules"])
    assert "hopeless" in " ".join(plain(summary(record, settings, "")).split())
    assert [("hopeless" in message["t"]) for message in inbox.messages] == [True]


def test_fewer_than_the_configured_number_end_the_week(tmp_path):
    settings = tiny(tmp_path, models=[SOUND, HOPELESS], gate={"min_models": 2}, run_dir=str(tmp_path / "run"))
    with pytest.raises(ConstantPredictionsError):
        weekly(settings)
    assert not (tmp_path / "run" / "submission").exists()


def test_a_wrong_parameter_stops_the_week_for_a_person_to_correct(tmp_path):
    settings = tiny(tmp_path, models=[SOUND, WRONG], run_dir=str(tmp_path / "run"))
    with pytest.raises(SettingsError, match="no_such_parameter"):
        weekly(settings)
    assert not list(Path(settings.run_dir).glob("train-*"))  # refused before any work, not after hours of it
