"""Members side by side in a file: the same numbers, an era at a time in memory, and nothing left behind."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from eraflow.disk.atomic import StorageError
from eraflow.machine.failures import StageNaN
from models.base.predictions import Predictions, read_out_of_fold
from models.ensembles import membercolumns
from models.ensembles.membercolumns import MembersDifferError, member_columns
from tests.models.planted import plant


@pytest.fixture
def world(tmp_path):
    """A store, and two members' folders with predictions of its rows."""
    planted = plant(eras=12, rows=40, features=4)
    store = planted.store(tmp_path / "store")
    random, folders = np.random.default_rng(1), {}
    for name in ("one", "two"):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        write(folders[name], store, random.normal(size=store.n_rows))
    return store, folders


def write(folder, store, values, ids=None):
    Predictions(
        store.ids() if ids is None else ids, store.eras, membercolumns.EraGroups(store.offsets()), values
    ).write(folder / "oof.parquet")


@pytest.mark.parametrize("turned", [7, 65_536])
def test_the_columns_are_the_members_and_no_file_is_left(world, tmp_path, monkeypatch, turned):
    store, folders = world
    monkeypatch.setattr(membercolumns, "TURNED", turned)
    with member_columns(folders, store, tmp_path / "out") as found:
        assert found.names == ("one", "two")
        assert found.eras == store.eras
        for place, folder in enumerate(folders.values()):
            np.testing.assert_array_equal(found.values[:, place], read_out_of_fold(folder / "oof.parquet").values)
        written = found.predictions(found.values[:, 0] * 2, store)
        np.testing.assert_array_equal(written.ids, store.ids())
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("how", ["ids", "era", "nan", "disk"])
def test_what_is_wrong_is_named_and_no_file_is_left(world, tmp_path, monkeypatch, how):
    store, folders = world
    values = np.arange(store.n_rows, dtype=np.float64)
    if how == "ids":
        ids = store.ids()
        write(folders["two"], store, values, np.concatenate([ids[:41], ids[:40:-1]]))
    elif how == "era":
        pl.read_parquet(folders["two"] / "oof.parquet").slice(40).write_parquet(folders["two"] / "oof.parquet")
    elif how == "nan":
        write(folders["two"], store, np.where(values == 7, np.nan, values))
    else:
        (tmp_path / "out").write_text("a file where the folder is to be")
    error = {"nan": StageNaN, "disk": StorageError}.get(how, MembersDifferError)
    with pytest.raises(error), member_columns(folders, store, tmp_path / "out"):
        raise AssertionError("it was read all the same")
    assert how == "disk" or list((tmp_path / "out").iterdir()) == []
