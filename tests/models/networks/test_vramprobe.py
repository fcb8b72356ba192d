"""Rows in flight from free memory: by arithmetic on a stand-in for the GPU."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
vramprobe = pytest.importorskip("models.networks.vramprobe")

FIXED, EACH = 1_000, 10


def peak(rows):
    return FIXED + EACH * rows


@pytest.mark.parametrize(
    ("free", "rows"),
    [(10**9, 16_384), (210_000, 16_384), (200_000, 8_192), (20_000, 1_024), (5_000, 256), (0, 256)],
)
def test_the_most_rows_that_four_fifths_of_the_memory_take(free, rows):
    assert vramprobe.rows_that_fit(peak, free, least=256, most=16_384) == rows
    assert rows == 256 or peak(rows) <= 0.8 * free


def test_a_lack_of_memory_while_it_is_measured_leaves_the_least():
    def lacking(rows):
        raise MemoryError

    assert vramprobe.rows_that_fit(lacking, 10**9, least=256, most=16_384) == 256


def test_another_error_is_not_hidden():
    def wrong(rows):
        raise ValueError("shapes")

    with pytest.raises(ValueError, match="shapes"):
        vramprobe.rows_that_fit(wrong, 10**9, least=256, most=16_384)


def test_a_plan_of_few_rows_is_not_measured():
    assert vramprobe.rows_that_fit(None, 0, least=256, most=500) == 500
