"""A database whose making was broken off is MLflow's to finish: nothing of it is moved, and nothing is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.relocation import relocate
from eraflow.tracking.tracking import ARTIFACTS, DATABASE, Tracker


def test_a_database_without_most_of_its_tables_is_left_to_mlflow(tmp_path: Path) -> None:
    database = tmp_path / DATABASE
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT)")
        connection.execute("INSERT INTO experiments VALUES (1, ?)", ((tmp_path / "old" / ARTIFACTS).as_uri(),))
    assert relocate(database, tmp_path / ARTIFACTS) == 0


def test_a_copied_home_keeps_its_files_to_itself(tmp_path: Path) -> None:
    first = Tracker(tmp_path / "first", TrackingSettings())
    first.experiment_id()
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / DATABASE).write_bytes((tmp_path / "first" / DATABASE).read_bytes())
    assert relocate(tmp_path / "second" / DATABASE, tmp_path / "second" / ARTIFACTS) > 0
    assert relocate(tmp_path / "second" / DATABASE, tmp_path / "second" / ARTIFACTS) == 0
