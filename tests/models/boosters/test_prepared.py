"""Columns of a wide matrix, rows prepared once for several fits, and looks at the trees while they grow."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraflow.kinds import KINDS as KIND_ROWS
from models.base.protocol import ModelSettingsError, TrainingDataError
from models.base.rows import Columns, TrainingRows
from models.kinds import load_model, make_model
from tests.models.planted import PLAN, fast, plant

KINDS = sorted(KIND_ROWS)
BOOSTERS = [kind for kind in KINDS if not KIND_ROWS[kind].neural]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_booster = pytest.mark.parametrize("kind", BOOSTERS)
CHOSEN = [0, 2, 3, 7, 11]


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=12, rows=100)
    y = planted.y.copy()
    y[::9] = np.nan
    return planted.x, y


def content(model, folder):
    model.save(folder)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@given(st.sets(st.integers(0, 30), min_size=1), st.data())
def test_columns_of_a_tile_are_those_named(chosen, draw):
    x = np.arange(4 * 31, dtype=np.int8).reshape(4, 31)
    columns = Columns(sorted(chosen))
    np.testing.assert_array_equal(columns.of(x), x[:, sorted(chosen)])
    assert columns.count(31) == len(chosen)
    if max(chosen) - min(chosen) + 1 == len(chosen):
        assert columns.of(x).base is not None  # neighbours stay a view


@pytest.mark.parametrize("wrong", [[], [3, 2], [1, 1], [-1, 2]])
@every_kind
def test_columns_that_are_no_ascending_positions_are_refused(kind, wrong):
    with pytest.raises(ModelSettingsError, match="ascending"):
        make_model(kind, columns=wrong)


@every_kind
@pytest.mark.parametrize("chosen", [CHOSEN, [4, 5, 6]], ids=["scattered", "neighbours"])
def test_a_model_of_some_columns_is_the_model_of_a_narrow_matrix(kind, chosen, data, tmp_path):
    x, y = data
    narrow = make_model(kind, fast(kind))
    narrow.fit(np.ascontiguousarray(x[:, chosen]), y, plan=PLAN, seed=3)
    expected = narrow.predict(np.ascontiguousarray(x[:, chosen]))
    model = make_model(kind, fast(kind), columns=chosen, scratch=tmp_path)
    model.fit(x, y, plan=replace(PLAN, rows_in_memory=333, low_memory=True), seed=3)
    assert model.n_features == x.shape[1]
    np.testing.assert_array_equal(model.predict(x), expected)
    model.save(tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    assert loaded.columns == tuple(chosen)
    assert loaded.predict(x).tobytes() == model.predict(x).tobytes()


@every_kind
def test_columns_that_the_matrix_lacks_are_named(kind, data):
    with pytest.raises(TrainingDataError, match="column 99"):
        make_model(kind, fast(kind), columns=[1, 99]).fit(*data, plan=PLAN, seed=1)


@every_booster
def test_many_fits_of_prepared_rows_are_the_fits_of_the_rows(kind, data, tmp_path):
    x, y = data
    trials = [{}, {"max_depth": 2}, {"n_estimators": 7, "colsample": 0.9}]
    with make_model(kind, fast(kind), columns=CHOSEN).prepare(x, y, plan=PLAN) as prepared:
        for number, trial in enumerate([*trials, trials[0]]):
            saved = []
            for given_rows in (prepared, None):
                model = make_model(kind, {**fast(kind), **trial}, columns=CHOSEN)
                model.fit(x, y, plan=replace(PLAN, threads=2), seed=number, prepared=given_rows)
                saved.append(content(model, tmp_path / f"{number}-{given_rows is None}"))
            assert saved[0] == saved[1]


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("lean", [False, True])
def test_another_target_of_the_same_rows_shares_the_prepared_rows(kind, lean, data, tmp_path):
    x, y = data
    plan = replace(PLAN, low_memory=lean, rows_in_memory=400)
    other = np.where(np.isnan(y), np.nan, x[:, 5] / 4.0)
    learner = make_model(kind, fast(kind), scratch=tmp_path)
    with learner.prepare(x, y, plan=plan) as prepared:
        for target in (other, y):
            shared, alone = make_model(kind, fast(kind)), make_model(kind, fast(kind))
            shared.fit(x, target, plan=plan, seed=1, prepared=prepared)
            alone.fit(x, target, plan=PLAN, seed=1)
            np.testing.assert_array_equal(shared.predict(x), alone.predict(x))
    assert list(tmp_path.iterdir()) == []


@every_booster
def test_prepared_rows_of_another_fit_are_refused(kind, data):
    x, y = data
    known = np.where(np.isnan(y), 0.5, y)
    learner = make_model(kind, fast(kind))
    with learner.prepare(x, y, plan=PLAN) as prepared:
        with pytest.raises(TrainingDataError, match="rows"):
            learner.fit(x, known, plan=PLAN, seed=1, prepared=prepared)
        with pytest.raises(TrainingDataError, match="columns"):
            make_model(kind, fast(kind), columns=CHOSEN).fit(x, y, plan=PLAN, seed=1, prepared=prepared)
    with pytest.raises(TrainingDataError, match="closed"):
        learner.fit(x, y, plan=PLAN, seed=1, prepared=prepared)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_settings_that_decide_the_bins_must_agree(kind, data):
    with make_model(kind, fast(kind)).prepare(*data, plan=PLAN) as prepared, pytest.raises(ModelSettingsError):
        make_model(kind, {**fast(kind), "max_bin": 3}).fit(*data, plan=PLAN, seed=1, prepared=prepared)


class Watcher:
    """Adds up the trees at each look; stops when told."""

    def __init__(self, x, every, stop_at=None):
        self.holdout, self.every, self.stop_at = x, every, stop_at
        self.sum, self.seen = np.zeros(len(x)), []

    def __call__(self, trees, model):
        self.sum += model.predict(self.holdout, self.seen[-1] if self.seen else 0, trees)
        self.seen.append(trees)
        return self.stop_at is not None and trees >= self.stop_at


@every_booster
def test_looks_add_up_to_the_model_and_change_nothing(kind, data, tmp_path):
    x, y = data
    watcher = Watcher(plant(eras=3, seed=8).x, every=5)
    watched = make_model(kind, fast(kind), columns=CHOSEN)
    watched.fit(x, y, plan=PLAN, seed=1, watch=watcher)
    assert watcher.seen == [5, 10, 15, 20, 25, 30]
    difference = watched.predict(watcher.holdout) - watcher.sum
    np.testing.assert_allclose(difference, difference[0], atol=1e-6)  # the base score
    alone = make_model(kind, fast(kind), columns=CHOSEN)
    alone.fit(x, y, plan=PLAN, seed=1)
    assert content(watched, tmp_path / "a") == content(alone, tmp_path / "b")


@every_booster
def test_a_watch_ends_a_fit_normally_with_the_trees_it_has(kind, data):
    x, y = data
    told = []
    stopped = make_model(kind, fast(kind))
    stopped.fit(x, y, plan=PLAN, seed=1, watch=Watcher(x, 4, stop_at=8), progress=lambda *at: told.append(at))
    short = make_model(kind, {**fast(kind), "n_estimators": 8})
    short.fit(x, y, plan=PLAN, seed=1)
    np.testing.assert_array_equal(stopped.predict(x), short.predict(x))
    assert stopped.trained_with["trees"] == 8
    assert told[-1] == (30, 30, "trees")


def test_a_mask_is_named_by_the_rows_it_takes():
    x, y = np.zeros((6, 2), np.int8), np.arange(6.0)
    other = np.where(y == 3, np.nan, y)
    names = {TrainingRows(x, values, 10).mask_digest for values in (y, y + 1, other, other * 2)}
    assert len(names) == 2
