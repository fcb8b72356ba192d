"""The digest of an era is that of its bytes, whatever else the store holds and however it was written."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.erastore.eradigests import HashedRows, rows_digest
from eraflow.erastore.erareader import EraStore
from tests.models.planted import TARGET, Planted, plant


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.lists(st.integers(0, 40), max_size=6))
def test_rows_are_hashed_by_era_wherever_the_blocks_are_cut(sizes, cuts):
    content = np.arange(sum(sizes), dtype=np.int8)
    file = io.BytesIO()
    rows = HashedRows(file, sizes)
    edges = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    for start, stop in pairwise(edges):
        rows.write(content[start:stop].data)
    assert file.getvalue() == content.tobytes()
    bounds = pairwise(np.cumsum([0, *sizes]).tolist())
    assert rows.digests == [hashlib.sha256(content[start:stop].tobytes()).hexdigest() for start, stop in bounds]


@pytest.fixture(scope="module")
def planted():
    return plant(eras=12, rows=30)


@pytest.fixture(scope="module")
def store(planted, tmp_path_factory):
    return planted.store(tmp_path_factory.mktemp("data") / "store")


def test_a_store_tells_the_digest_of_each_era(store):
    assert store.digests is not None
    for era in store.eras:
        assert store.digests[era] == hashlib.sha256(store.matrix([era]).tobytes()).hexdigest()


def test_the_same_eras_have_the_same_digest_in_a_store_with_more(planted, store, tmp_path):
    fewer = Planted(*(array[planted.era <= 9] for array in (planted.x, planted.y, planted.era))).store(tmp_path / "few")
    eras = store.eras[2:8]
    assert rows_digest(fewer, eras, [TARGET]) == rows_digest(store, eras, [TARGET])
    assert len({rows_digest(store, store.eras[at : at + 2], [TARGET]) for at in range(11)}) == 11
    assert rows_digest(store, eras, []) != rows_digest(store, eras, [TARGET])


@pytest.mark.parametrize("what", ["x", "y", "id"])
def test_another_value_or_another_id_is_another_digest(planted, store, tmp_path, what):
    x, y, era = planted.x.copy(), planted.y.copy(), planted.era
    if what == "x":
        x[95, 0] = (x[95, 0] + 1) % 5  # era 0004
    elif what == "y":
        y[95] = 0.25 if y[95] != 0.25 else 0.75
    else:
        x, y, era = x[1:], y[1:], era[1:]  # ids are numbered from the first row on
    other = Planted(x, y, era).store(tmp_path / "other")
    same = [
        rows_digest(other, [each], [TARGET], ids=True) == rows_digest(store, [each], [TARGET], ids=True)
        for each in store.eras[1:]
    ]
    assert same == ([False] * 11 if what == "id" else [True, True, False, *[True] * 8])


def test_who_learns_from_rows_does_not_see_their_ids(planted, store, tmp_path):
    other = Planted(planted.x[30:], planted.y[30:], planted.era[30:]).store(tmp_path / "other")
    for ids in (False, True):
        digests = [rows_digest(each, store.eras[1:], [TARGET], ids=ids) for each in (store, other)]
        assert (digests[0] == digests[1]) != ids


def test_a_store_of_an_older_version_tells_nothing(store):
    layout = {**store._layout}
    layout.pop("digests")
    assert rows_digest(EraStore(store.path, layout), store.eras, [TARGET]) is None
