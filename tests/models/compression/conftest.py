"""The code of one small store, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eraflow.erastore.erareader import EraStore
from models.compression.job import CodeJob
from models.compression.stage import learn_codes
from tests.models.compression.factors import factor_data, job_of
from tests.models.planted import PLAN, Planted


@dataclass(frozen=True)
class Coded:
    planted: Planted
    store: EraStore
    job: CodeJob
    folder: Path  # of the stage
    metrics: dict[str, Any]


@pytest.fixture(scope="session")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Coded:
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("coded")
    planted = factor_data()
    store = planted.store(folder / "store")
    job = job_of(store)
    return Coded(planted, store, job, folder / "vae", learn_codes(job, folder / "vae", PLAN))
