"""Columns of other files are joined by id."""

from __future__ import annotations

import numpy as np
import pytest

from eraflow.data.eraindex import DuplicateIdError
from eraflow.data.footer import MissingColumnError
from eraflow.erastore.erareader import EraStore, EraStoreError
from tests.eraflow.erastore.conftest import frame_of, joined_of, store_of
from tests.tournament_files import TARGETS, write_parquet, write_tournament

COMPANIONS = ("v53_lgbm_ender60", "numerai_meta_model")


def test_other_files_are_joined_by_id_and_unknown_elsewhere(files, tmp_path):
    shuffled = files.frames["meta_model"].sample(frac=1, random_state=0)
    made = write_tournament(tmp_path / "files")
    write_parquet(shuffled, made.path("meta_model"), row_groups="one", id_as="column")
    store = store_of(made, tmp_path / "store", joined=joined_of(made))
    expected = files.frames["meta_model"]["numerai_meta_model"].reindex(frame_of(files).index)
    np.testing.assert_array_equal(store.column("numerai_meta_model"), expected.to_numpy("float64"))
    assert store.columns == (*TARGETS, *COMPANIONS)
    assert store.coverage("numerai_meta_model") == tuple(f"{era:04d}" for era in range(40, 51))
    assert store.coverage("v53_lgbm_ender60") == tuple(f"{era:04d}" for era in range(5, 51))
    assert store.coverage("target_ender_60")[-1] == "0037"


def test_troubles_of_joined_files_are_named(files, tmp_path):
    with pytest.raises(MissingColumnError, match="v99"):
        store_of(files, tmp_path / "a", joined={"v99": files.path("meta_model")})
    twice = [files.path("meta_model"), files.path("meta_model")]
    with pytest.raises(DuplicateIdError, match="meta_model"):
        store_of(files, tmp_path / "a", joined={"numerai_meta_model": twice})
    with pytest.raises(EraStoreError):
        EraStore.open(tmp_path / "a")
