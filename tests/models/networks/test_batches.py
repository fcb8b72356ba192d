"""Every row, or every usable era, comes once an epoch, whole and in an order that only the seed and epoch decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base.protocol import TrainingDataError
from models.base.rows import Columns
from models.networks.batches import EraBatches, EraRows, RowBatches

sizes = st.lists(st.integers(1, 400), min_size=1, max_size=12)


@given(n_rows=st.integers(1, 5_000), batch=st.integers(1, 3_000), epoch=st.integers(0, 3), piece=st.integers(1, 700))
def test_every_row_comes_once_an_epoch(n_rows, batch, epoch, piece):
    batches = RowBatches(n_rows, batch, 7)
    made = batches.of_epoch(epoch)
    assert len(made) == batches.per_epoch
    assert sorted(np.concatenate(made)) == list(range(n_rows))
    lengths = {len(rows) for rows in made}
    assert max(lengths) <= batch
    assert max(lengths) - min(lengths) <= 1
    pieces = batches.pieces(made[0], piece)
    np.testing.assert_array_equal(np.concatenate([each.rows for each in pieces]), made[0])
    assert all(len(each.rows) <= batches.largest_piece(piece) for each in pieces)
    assert len({each.position for each in pieces}) == len(pieces)


@given(sizes=sizes, batch=st.integers(1, 6), rows=st.integers(1, 900), unknown=st.sets(st.integers(0, 11)))
def test_every_era_with_a_known_target_comes_once_and_whole(sizes, batch, rows, unknown):
    offsets = np.cumsum([0, *sizes])
    eras = np.repeat(np.arange(len(sizes)), sizes)
    y = np.where(np.isin(eras, list(unknown)), np.nan, 1.0)
    usable = [era for era in range(len(sizes)) if era not in unknown]
    if not usable:
        with pytest.raises(TrainingDataError, match="no target is known"):
            EraBatches(offsets, y, batch, 7)
        return
    batches = EraBatches(offsets, y, batch, 7)
    seen = []
    for each in batches.of_epoch(2):
        assert len(each) <= batch
        pieces = batches.pieces(each, rows)
        assert len({piece.position for piece in pieces}) == len(pieces)
        for piece in pieces:
            assert len(piece.rows) == piece.offsets[-1] <= batches.largest_piece(rows)
            assert len(piece.rows) <= rows or len(piece.offsets) == 2
            for start, stop in zip(piece.offsets, piece.offsets[1:], strict=False):
                (era,) = set(eras[piece.rows[start:stop]])
                assert stop - start == sizes[era]
                seen.append(era)
    assert sorted(seen) == usable


def test_the_order_depends_on_the_seed_and_the_epoch():
    def order(seed, epoch):
        return np.concatenate(RowBatches(100, 10, seed).of_epoch(epoch)).tolist()

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_one_known_target_of_several_makes_an_era_usable():
    y = np.full((4, 2), np.nan)
    y[3, 1] = 1.0
    assert [batch.tolist() for batch in EraBatches(np.array([0, 2, 4]), y, 5, 1).of_epoch(0)] == [[1]]


def test_whole_eras_keep_the_rows_whose_target_is_not_known():
    x = np.arange(40, dtype=np.int8).reshape(10, 4)
    rows = EraRows(x, Columns([1, 3]))
    assert rows.n_features == 2
    np.testing.assert_array_equal(rows.take(np.array([0, 7, 9])), x[[0, 7, 9]][:, [1, 3]])
