"""Homes with a small era store, so that a search can begin at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.models.planted import plant


@pytest.fixture(scope="session")
def planted_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never searched in: copied for each test."""
    folder = tmp_path_factory.mktemp("planted")
    planted = plant(eras=70, rows=60, features=8)
    planted.store(folder / "store")
    (folder / "eras.json").write_text(json.dumps(planted.eras))
    return folder


@pytest.fixture
def home(planted_home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(planted_home, tmp_path / "home")


@pytest.fixture
def labels(planted_home: Path) -> list[str]:
    return json.loads((planted_home / "eras.json").read_text())
