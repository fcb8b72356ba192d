"""Rows in column order in a nameless file."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.boosters.columnfile as room
from eraflow.disk.atomic import StorageError
from models.base.rows import Columns, TrainingRows
from models.boosters.columnfile import column_file


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.integers(2, 9), st.integers(1, 400), st.booleans())
def test_it_is_the_matrix_in_column_order_and_leaves_no_name(tmp_path_factory, n, f, rows_in_memory, chosen):
    folder = tmp_path_factory.mktemp("scratch")
    x = np.random.default_rng(n).integers(0, 5, (n, f), dtype=np.int8)
    y = np.where(np.arange(n) % 4, 1.0, np.nan) if n > 1 else np.ones(n)
    columns = Columns([0, f - 1]) if chosen else Columns()
    found = column_file(TrainingRows(x, y, rows_in_memory, columns), folder)
    np.testing.assert_array_equal(found, columns.of(x[~np.isnan(y)]))
    assert found.flags.f_contiguous
    assert not found.flags.writeable
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_named(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(room, "write_at", full)
    with pytest.raises(StorageError) as caught:
        column_file(TrainingRows(np.zeros((5, 2), np.int8), np.ones(5), 10), tmp_path)
    assert caught.value.kind == "disk_full"
    assert list(tmp_path.iterdir()) == []
