"""The address of an SQLite file for SQLAlchemy, whatever characters its path has."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

PLAIN = re.compile(r"[^?#%\"']*")
"""A path that SQLAlchemy, Alembic, MLflow, Prefect and a shell's quotes leave as it is."""


def sqlite_url(path: Path | str, driver: str = "sqlite") -> str:
    """The SQLAlchemy address of an SQLite file; a path with special characters becomes SQLite's own `file:` address."""
    place = str(Path(path).absolute())
    return f"{driver}:///{place}" if PLAIN.fullmatch(place) else f"{driver}:///file:{quote(place)}?uri=true"
