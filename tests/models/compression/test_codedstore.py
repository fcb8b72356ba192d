"""What members see of a window: features and code side by side in one file, or the code alone."""

from __future__ import annotations

import numpy as np
import pytest

from eraflow.machine.job import as_json, decided, from_json
from models.compression.codedstore import CodeFileError, LearnedCode, code_columns, coded_store, codes_file
from models.training.trainer import training_view
from tests.models.compression.factors import code_of
from tests.models.planted import TARGET


@pytest.mark.parametrize("use", ["beside", "instead"])
@pytest.mark.parametrize("position", [0, 2])
def test_columns_are_the_features_and_the_windows_own_code(coded, tmp_path, use, position):
    code = code_of(coded.job, coded.folder, use)
    with coded_store(coded.store, code, position, tmp_path / "window", 100) as store:
        span = coded.store.eras[: 45 if position == 0 else 60]
        codes = np.load(codes_file(coded.folder, code.labels[position]))
        expected = codes if use == "instead" else np.hstack([coded.store.matrix(span), codes])
        assert np.array_equal(store.matrix(), expected)
        assert store.eras == span
        assert store.features == (*(coded.store.features if use == "beside" else ()), *code_columns(5))
        some = span[3:20:4]
        assert np.array_equal(
            store.matrix(some), expected[np.isin(np.repeat(np.arange(len(span)), 60), range(3, 20, 4))]
        )
        x, y = training_view(store, TARGET, some)
        assert np.shares_memory(x, store.matrix(span[3:20]))
        assert not x.flags.writeable
        assert np.array_equal(np.isfinite(y), np.isin(np.repeat(np.arange(3, 20), 60), range(3, 20, 4)))
        assert np.array_equal(store.ids(some), coded.store.ids(some))
    assert not (tmp_path / "window").exists()


def test_a_span_that_begins_later_is_read_from_its_place(coded, tmp_path):
    code = code_of(coded.job, coded.folder, "instead")
    whole = np.load(codes_file(coded.folder, "live"))
    np.save(tmp_path / "codes-live.npy", whole[600:])
    later = LearnedCode(use="instead", size=5, labels=("live",), spans=(("0011", "0060"),), folder=tmp_path)
    with coded_store(coded.store, later, 0, tmp_path / "window", 100) as store:
        assert np.array_equal(store.matrix(["0012"]), whole[660:720])
        assert store.era_codes(["0012"]).tolist() == [1] * 60
        assert store.column(TARGET, ["0012"]).tolist() == coded.store.column(TARGET, ["0012"]).tolist()
        with pytest.raises(CodeFileError, match="era 0010"):
            store.matrix(["0010", "0011"])
    assert code.columns(coded.store.features) == code_columns(5)


def test_codes_that_are_not_those_of_the_rows_are_named(coded, tmp_path):
    code = LearnedCode(use="beside", size=5, labels=("live",), spans=(("0001", "0060"),), folder=tmp_path)
    with pytest.raises(CodeFileError, match="cannot be mapped"), coded_store(coded.store, code, 0, tmp_path / "w", 9):
        pass
    np.save(tmp_path / "codes-live.npy", np.zeros((10, 5), np.int8))
    with pytest.raises(CodeFileError, match="10 rows for 3600"), coded_store(coded.store, code, 0, tmp_path / "w", 9):
        pass
    assert not (tmp_path / "w").exists()


def test_names_sort_as_the_columns_do():
    assert code_columns(2) == ("code_0", "code_1")
    assert list(code_columns(101)) == sorted(code_columns(101))


def test_where_the_codes_lie_decides_nothing(coded):
    code = code_of(coded.job, coded.folder, "beside")
    assert from_json(LearnedCode, as_json(code)) == code
    assert "folder" not in decided(code)
