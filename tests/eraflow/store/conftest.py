"""One MLflow home for all tests of tracking and registry: making its tables takes seconds."""

import shutil

import pytest

from eraflow.settings import TrackingSettings
from eraflow.store.tracking import DATABASE, Tracker


@pytest.fixture(scope="session")
def mlflow_home(tmp_path_factory):
    """A home folder whose database has its tables and nothing else."""
    home = tmp_path_factory.mktemp("mlflow home")
    Tracker(home, TrackingSettings()).link.call("search_experiments")
    return home


@pytest.fixture
def tracker(mlflow_home, tmp_path):
    """A tracker on a fresh copy of the empty database."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(mlflow_home / DATABASE, home / DATABASE)
    return Tracker(home, TrackingSettings())
