"""Successive weeks of the sandbox, from its files to the members' predictions: with what earlier weeks left, and
without."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from eraflow.data.catalog import read_catalog
from eraflow.data.eras import final_eras, walk_forward
from eraflow.data.membereras import Member
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.sandbox.generate import generate
from eraflow.settings.source import SandboxSettings
from eraflow.settings.windows import WindowSettings
from models.training.job import ImportanceSample, KeptFolds, TrainJob
from models.training.train import train_model
from tests.models.planted import FAST, PLAN

TARGET = "target_ender_20"
CUT = WindowSettings(folds=3)


def store_of(path: Path, validation_eras: int) -> EraStore:
    """The resolved eras of a sandbox that has run so many weeks."""
    size = SandboxSettings(train_eras=90, validation_eras=validation_eras, rows_per_era=60, features=12, signal=3.0)
    folder = generate(path / "data", size)
    files = [folder / name for name in ("train.parquet", "validation.parquet")]
    known = pl.concat(pl.read_parquet(file, columns=["era", TARGET]) for file in files).drop_nulls()
    eras = known["era"].unique(maintain_order=True).to_list()
    return write_era_store(
        files, read_catalog(folder / "features.json").features("all"), [TARGET], path / "store", eras=eras
    )


def trained(store: EraStore, out: Path, folds: KeptFolds | None):
    windows = tuple(walk_forward(store.eras, 20, CUT))
    member = Member("lightgbm", "lightgbm", FAST, TARGET, windows, final_eras(store.eras))
    sample = ImportanceSample(TARGET, 50)
    return train_model(TrainJob(member=member, seed=3, store=store.path, folds=folds, importance=sample), out, PLAN)


def content(out: Path) -> dict[str, bytes]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and not path.match("fold-*.json"))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(("first", "moves"), [(64, False), (71, True)])
def test_weeks_from_what_earlier_ones_left_have_the_bytes_of_weeks_from_nothing(tmp_path, first, moves):
    """All folds but the newest are found. Once among the later weeks the width grows, and every window is another."""
    kept = KeptFolds(tmp_path / "folds", "the code", 100)
    begins, found = [], []
    for week in range(first, first + 3):
        store = store_of(tmp_path / str(week), week)
        told = trained(store, tmp_path / f"{week}-kept", kept)
        assert trained(store, tmp_path / f"{week}-plain", None)["folds_kept"] == 0
        assert content(tmp_path / f"{week}-kept") == content(tmp_path / f"{week}-plain")
        assert told["last_era"] == store.eras[-1]
        begins.append(told["first_era"])
        found.append(told["folds_kept"])
    same = [later == earlier for earlier, later in pairwise(begins)]
    assert found == [0, *(CUT.folds - 1 if each else 0 for each in same)]
    assert all(same) != moves
