"""A home folder that was moved or copied: MLflow keeps absolute artifact addresses in its database.

Without this, a copied home would write its artifacts into the original, and a moved one, or one that is mounted
elsewhere in a container, would not find its champion.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

BUSY_SECONDS = 20.0
ROOT_TAG = "artifact_root"  # of an experiment whose files lie at a place that the settings name: it is not the home's
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def relocate(database: Path, artifacts: Path) -> int:
    """Point every address below a former place of the artifact folder to its present one.

    Only addresses of folders named like `artifacts` are touched; those of other stores stay.

    Args:
        database: MLflow's SQLite file; nothing happens while there is none.
        artifacts: the present artifact folder.

    Returns:
        How many former places were replaced.
    """
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection, connection:
        former = _former_places(connection, artifacts)
        for place in former:
            _replace(connection, place, artifacts.as_uri())
    return len(former)


def _former_places(connection: sqlite3.Connection, artifacts: Path) -> list[str]:
    # MLflow makes its tables one by one; where that was broken off, nothing lies anywhere yet, and MLflow goes on.
    known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'experiment_tags'").fetchone()
    if known is None:
        return []
    rows = connection.execute(
        "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file://%' "
        "AND artifact_location LIKE ? AND artifact_location != ? "
        "AND experiment_id NOT IN (SELECT experiment_id FROM experiment_tags WHERE key = ?)",
        (f"%/{artifacts.name}", artifacts.as_uri(), ROOT_TAG),
    )
    return [row[0] for row in rows]


def _replace(connection: sqlite3.Connection, former: str, present: str) -> None:
    for table, column in ADDRESSES:
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (present, len(former) + 1, former, len(former) + 1, former + "/"),
        )
