"""Early stopping by eras that were kept back, several networks in one model, whole eras in a batch: through the mlp."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from eraflow.machine.failures import StageNaN
from models.base.wholeeras import FitEras, fit_in_eras
from models.kinds import load_model, make_model
from models.networks.weightfile import to_bytes
from tests.models.planted import FAST_MLP, PLAN, plant

torch = pytest.importorskip("torch")
gradient = pytest.importorskip("models.networks.gradient")
validation = pytest.importorskip("models.networks.validation")

ERAS, ROWS, PURGE = 40, 50, 8
OFFSETS = np.arange(0, ERAS * ROWS + 1, ROWS)


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=ERAS, rows=ROWS)
    y = planted.y.copy()
    y[::11] = np.nan
    return planted.x, y


def fitted(data, *, plan=PLAN, length=None, checkpoints=None, progress=None, **params):
    model = make_model("mlp", {**FAST_MLP, "updates": 48, "check_every": 6, **params}, checkpoints=checkpoints)
    eras = FitEras(OFFSETS, np.arange(1, ERAS + 1), PURGE, length)
    fit_in_eras(model, *data, eras, plan=plan, seed=3, progress=progress)
    return model


def weights(model):
    return to_bytes(model._all_weights())


class Killed(BaseException):
    pass


def dies_at(patch, step, times=1):
    original, left = gradient.BatchGradient.of, [times]

    def dying(self, batch, at):
        if at == step:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
        return original(self, batch, at)

    patch.setattr(gradient.BatchGradient, "of", dying)


def found_in_turn(patch, values):
    """The CORR of the eras that were kept back, as a story."""
    left = iter(values)
    patch.setattr(validation.Validation, "corr", lambda *_: next(left))


def test_what_is_kept_back_and_its_purge_teach_nothing(data, monkeypatch):
    x, y = data
    found_in_turn(monkeypatch, [float(number) for number in range(20)])
    expected = weights(fitted(data))
    spoilt = x.copy()
    first = ERAS - round(0.15 * ERAS) - PURGE  # weeks 27 to 40
    spoilt[first * ROWS :] = 4 - spoilt[first * ROWS :]
    assert weights(fitted((spoilt, y))) == expected
    spoilt[(first - 1) * ROWS : first * ROWS] = 0
    found_in_turn(monkeypatch, [float(number) for number in range(20)])
    assert weights(fitted((spoilt, y))) != expected


def test_the_curve_holds_the_corr_of_the_eras_kept_back(data):
    model = fitted(data)
    (curve,) = model.curves
    assert [point.update for point in curve] == list(range(6, 49, 6))
    assert max(point.corr for point in curve) > 0.2
    kept = slice((ERAS - 6) * ROWS, None)
    known = ~np.isnan(data[1][kept])
    best = max(curve, key=lambda point: point.corr)
    assert model.trained_with["updates"] == best.update
    assert model.lengths == [best.update / 48]
    from eraflow.scoring.metrics import era_corr
    from eraflow.scoring.ranking import EraGroups

    sizes = known.reshape(6, ROWS).sum(axis=1)
    values = model.predict(data[0][kept])[known]
    # The model that comes out is the one that was judged: equal to rounding, and ties in rank are rare.
    again = era_corr(values, data[1][kept][known], EraGroups.from_sizes(sizes)).mean()
    assert again == pytest.approx(best.corr, abs=1e-3)


def test_the_best_weights_come_out_and_patience_ends_the_training(data, monkeypatch):
    seen, original = [], gradient.BatchGradient.of
    monkeypatch.setattr(
        gradient.BatchGradient, "of", lambda self, batch, at: (seen.append(at), original(self, batch, at))[1]
    )
    found_in_turn(monkeypatch, [0.1, 0.3, 0.2, 0.2, 0.9])
    told = []
    model = fitted(data, patience=2, progress=lambda *at: told.append(at))
    assert seen[-1] == 23
    assert told[-1][0] == told[-1][1]
    assert (model.trained_with["updates"], model.lengths) == (12, [0.25])
    found_in_turn(monkeypatch, [0.1, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2])
    assert weights(fitted(data, patience=99)) == weights(model)


def test_a_stated_length_ends_on_the_schedule_of_the_whole(data, monkeypatch):
    """The weights after a quarter of the updates, as they were on the way, and nothing kept back."""
    model = fitted(data, length=0.25)
    assert model.trained_with["updates"] == 12
    assert model.curves[0][-1].corr is None
    found_in_turn(monkeypatch, [0.0, 1.0] + [0.5] * 6)
    everything = make_model("mlp", {**FAST_MLP, "updates": 48, "check_every": 6, "validation_share": 0.0})
    fit_in_eras(everything, *data, FitEras(OFFSETS, np.arange(ERAS), PURGE), plan=PLAN, seed=3)
    assert everything.curves[0][:2] == model.curves[0]


@pytest.mark.parametrize("step", [0, 5, 6, 13, 30])
@pytest.mark.parametrize("params", [{}, {"correlation_share": 0.5}], ids=["squared error", "mixed"])
def test_killed_and_resumed_is_the_same_model(data, tmp_path, step, params):
    params = {**params, "patience": 3}
    expected = fitted(data, **params)
    with pytest.MonkeyPatch.context() as patch:
        dies_at(patch, step)
        with suppress(Killed):  # it may have ended before
            fitted(data, checkpoints=tmp_path, **params)
    again = fitted(data, checkpoints=tmp_path, plan=replace(PLAN, threads=2), **params)
    assert weights(again) == weights(expected)
    assert (again.curves, again.trained_with) == (expected.curves, expected.trained_with)


def test_threads_and_tiles_do_not_change_what_is_found(data):
    expected = fitted(data)
    for plan in (replace(PLAN, threads=3), replace(PLAN, rows_in_memory=70, low_memory=True, batch_rows=256)):
        model = fitted(data, plan=plan)
        assert weights(model) == weights(expected)
        assert model.curves == expected.curves


def test_a_lack_of_memory_while_it_is_judged_changes_nothing(data, monkeypatch):
    expected = fitted(data)
    corr, calls = validation.Validation.corr, []

    def lacking(self, *args):
        calls.append(args)
        if len(calls) == 3:
            raise MemoryError
        return corr(self, *args)

    monkeypatch.setattr(validation.Validation, "corr", lacking)
    model = fitted(data, plan=replace(PLAN, threads=2))
    assert weights(model) == weights(expected)
    assert len(calls) == 1 + len(model.curves[0])


def test_a_corr_that_is_not_finite_is_named(data, monkeypatch):
    found_in_turn(monkeypatch, [0.1, float("nan")])
    with pytest.raises(StageNaN, match="the validation CORR of mlp is nan after update 12"):
        fitted(data)


def test_several_networks_are_averaged_and_saved_as_one(data, tmp_path):
    one, three = fitted(data), fitted(data, seeds=3)
    assert len(three._further) == 2
    assert to_bytes(three._weights) == to_bytes(one._weights)  # the first is the one that there would have been
    assert len(three.curves) == len(three.lengths) == len(three.trained_with["updates"]) == 3
    parts = []
    for arrays in (three._weights, *three._further):
        single = make_model("mlp", {**FAST_MLP, "updates": 48, "check_every": 6})
        single._weights, single.n_features = arrays, three.n_features
        single._centre, single._scale = three._centre, three._scale
        parts.append(single.predict(data[0]))
    assert not np.array_equal(parts[0], parts[1])
    np.testing.assert_allclose(three.predict(data[0]), np.mean(parts, axis=0), atol=1e-12)
    three.save(tmp_path)
    assert load_model(tmp_path).predict(data[0]).tobytes() == three.predict(data[0]).tobytes()


def test_several_networks_go_on_where_they_were(data, tmp_path):
    expected = weights(fitted(data, seeds=2))
    with pytest.MonkeyPatch.context() as patch:
        dies_at(patch, 10, times=2)  # in the second one
        with pytest.raises(Killed):
            fitted(data, seeds=2, checkpoints=tmp_path)
    seen, original = [], gradient.BatchGradient.of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            gradient.BatchGradient, "of", lambda self, batch, at: (seen.append(at), original(self, batch, at))[1]
        )
        assert weights(fitted(data, seeds=2, checkpoints=tmp_path)) == expected
    assert seen[0] == 6


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_correlation_of_eras_is_learnt_too(data, share):
    model = fitted(data, correlation_share=share, updates=96)
    fresh = plant(eras=10, seed=5)
    assert np.corrcoef(model.predict(fresh.x), fresh.y)[0, 1] > 0.2


def test_shuffled_targets_teach_nothing_though_the_best_look_is_taken(data):
    planted = plant(eras=ERAS, rows=ROWS).shuffled_within_eras(1)
    model = fitted((planted.x, planted.y))
    fresh = plant(eras=20, seed=5)
    assert abs(np.corrcoef(model.predict(fresh.x), fresh.y)[0, 1]) < 4 / len(fresh.y) ** 0.5


def test_clipping_is_a_parameter_and_the_plan_may_ask_for_less(data):
    clipped = weights(fitted(data, clip_norm=0.05))
    assert clipped != weights(fitted(data))
    assert weights(fitted(data, clip_norm=9.0, plan=replace(PLAN, clip_norm=0.05))) == clipped
