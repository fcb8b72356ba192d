"""A week whose store of models is dead is submitted all the same, and registered once the store is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eraflow.disk.sqliteurl import sqlite_url
from eraflow.tracking.registry import champion_info
from eraflow.tracking.tracking import DATABASE
from flows.command.cli import main
from flows.daily import daily
from flows.weekly import weekly
from tasks.register import seat_of, tracker
from tasks.registerlater import NothingToRegisterError, register_later
from tasks.run import Run
from tests.model_stores import environment, s3_store
from tests.models.delivery.test_pyfuncmodel import REFUSE
from tests.weeks import tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

LOADED_BY_MLFLOW = """
mlflow.set_tracking_uri(sys.argv[1])
found = mlflow.pyfunc.load_model("models:/eraflow-ensemble-sandbox@champion").predict(pd.read_parquet(sys.argv[2]))
found.to_parquet("found.parquet")
"""


@pytest.fixture(scope="module")
def unregistered(tmp_path_factory, prefect_server):
    """A week while nobody answers at the store's address."""
    home = tmp_path_factory.mktemp("home")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    settings = tiny(home, run_dir=str(home / "run"), tracking={"enabled": True, "artifacts": "s3://models/numerai"})
    with environment(**keys, MLFLOW_S3_ENDPOINT_URL="http://127.0.0.1:9", AWS_EC2_METADATA_DISABLED="true"):
        return settings, weekly(settings)


def test_the_week_is_submitted_and_the_log_says_how_to_register_later(unregistered):
    settings, record = unregistered
    assert record["outcome"] == "submitted"
    run = Run(settings, Path(settings.run_dir))
    assert champion_info(tracker(run)) is None


def test_it_is_registered_later_promoted_and_sent_without_its_store(unregistered, tmp_path, capsys):
    settings, record = unregistered
    run, home = Run(settings, Path(settings.run_dir)), settings.home_path
    with s3_store():
        assert register_later(run.path) == (1, True)
        assert register_later(run.path) == (1, True)
        assert main(["models", "promote", "1", "--home", str(home), "--why", "by hand", "--json"]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (told["aliases"], told["verdict"], told["uri"][:20]) == (["champion"], "passed", "s3://models/numerai/")
        live = next(home.glob("data/*/v5.3/round-*/live.parquet"))
        done = subprocess.run(
            [sys.executable, "-I", "-c", REFUSE + LOADED_BY_MLFLOW, sqlite_url(home / DATABASE), str(live)],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    found, sent = pd.read_parquet(tmp_path / "found.parquet"), pd.read_csv(record["submission"]["file"]["path"])
    found = found.loc[sent["id"]]  # the submission is sorted
    ours = np.argsort(np.argsort(sent["prediction"].to_numpy()))
    np.testing.assert_allclose(found["prediction"], (ours + 0.5) / len(sent), atol=1e-12)
    with environment(AWS_EC2_METADATA_DISABLED="true"):
        again = daily(settings.model_copy(update={"run_dir": str(tmp_path / "daily")}))
    assert again["submission"]["file"]["sha256"] == record["submission"]["file"]["sha256"]
    assert champion_info(tracker(run), seat_of(run, slot_of(record, settings))).version == 1


def slot_of(record, settings):
    from eraflow.numerai.client import Slot

    return Slot(record["submission"]["model_id"], settings.submit.model or "")


def test_a_folder_without_a_week_that_ended_is_told(tmp_path):
    with pytest.raises(NothingToRegisterError, match="no week that has ended"):
        register_later(tmp_path)
