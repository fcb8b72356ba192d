"""A written era store: views of neighbouring eras, names that are not there, damage, other processes."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from eraflow.erastore.erareader import EraStore, EraStoreError, UnknownColumnError, UnknownEraError
from tests.eraflow.erastore.conftest import check_equal, frame_of, store_of
from tests.tournament_files import TARGETS, write_tournament


def test_neighbouring_eras_are_views_and_others_are_gathered(files, store):
    frame = frame_of(files)
    view = store.matrix(["0003", "0004", "0005"])
    assert view.base is not None
    assert not view.flags.writeable
    assert np.shares_memory(view, store.matrix())
    assert np.shares_memory(store.matrix(["0003"], store.features[1:4]), store.matrix())
    assert store.rows(["0003", "0004"]) == slice(24, 48)
    scattered, wanted = ["0002", "0004", "0005", "0040"], [store.features[4], store.features[1]]
    part = frame[frame["era"].isin(scattered)]
    assert isinstance(store.rows(scattered), np.ndarray)
    np.testing.assert_array_equal(store.matrix(scattered, wanted), part[wanted].to_numpy())
    np.testing.assert_array_equal(store.matrix(scattered), part[list(store.features)].to_numpy())
    np.testing.assert_array_equal(store.matrix()[store.rows(scattered)], store.matrix(scattered))
    np.testing.assert_array_equal(store.ids(scattered), part.index.to_numpy(dtype=str))
    np.testing.assert_array_equal(store.column(TARGETS[0], scattered), part[TARGETS[0]].to_numpy("float64"))
    np.testing.assert_array_equal(store.offsets(scattered), [0, 12, 24, 36, 48])
    np.testing.assert_array_equal(store.era_codes(scattered), np.repeat([1, 3, 4, 39], 12))
    assert store.matrix([]).shape == (0, 6)
    assert store.offsets([]).tolist() == [0]
    assert (store.matrix().dtype, store.column(TARGETS[0]).dtype, store.era_codes().dtype) == (
        np.int8,
        np.float64,
        np.int32,
    )


def test_unknown_names_are_told(store):
    with pytest.raises(UnknownEraError, match="0099"):
        store.matrix(["0001", "0099"])
    with pytest.raises(UnknownEraError, match="order"):
        store.rows(["0002", "0001"])
    with pytest.raises(UnknownEraError, match="order"):
        store.ids(["0002", "0002"])
    with pytest.raises(UnknownColumnError, match="target_jasper_60"):
        store.column("target")
    with pytest.raises(UnknownColumnError, match="feature_z"):
        store.matrix(features=["feature_z"])


def test_a_store_cut_short_is_noticed(files, tmp_path):
    store = store_of(files, tmp_path / "store")
    matrix = store.path / "matrix.npy"
    matrix.write_bytes(matrix.read_bytes()[:-10])
    with pytest.raises(EraStoreError, match=r"matrix\.npy"):
        EraStore.open(store.path)
    (store.path / "layout.json").write_text('{"format": 0}')
    with pytest.raises(EraStoreError, match="another format"):
        EraStore.open(store.path)


def test_a_store_is_replaced_whole_while_others_read_it(files, tmp_path):
    first = store_of(files, tmp_path / "store")
    before = np.array(first.matrix())
    other = write_tournament(tmp_path / "other", seed=5)
    second = store_of(other, tmp_path / "store")
    np.testing.assert_array_equal(first.matrix(), before)  # the old map lives on
    check_equal(second, frame_of(other), other.features)


def test_pickles_as_its_path_and_opens_in_another_process(store):
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.matrix(), store.matrix())
    code = (
        "import sys; from eraflow.erastore.erareader import EraStore; print(EraStore.open(sys.argv[1]).matrix().sum())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store.path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) == int(store.matrix().sum(dtype=np.int64))
