"""Rows with a known target, taken by their numbers."""

from __future__ import annotations

import numpy as np

from models.base.rows import TrainingRows


def test_rows_are_taken_in_order_of_their_numbers():
    x = np.arange(40, dtype=np.int8).reshape(20, 2)
    y = np.where(np.arange(20) % 3, 1.0, np.nan)
    part = TrainingRows(x, y, rows_in_memory=6)
    np.testing.assert_array_equal(part.take(np.array([0, 2, 5])), x[~np.isnan(y)][[0, 2, 5]])
    whole = TrainingRows(x, np.ones(20), rows_in_memory=6)
    np.testing.assert_array_equal(whole.take(np.array([1, 19])), x[[1, 19]])
