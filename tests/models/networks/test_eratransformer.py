"""The transformer across the era: a truth that only the era's cross-section shows, and the same function in NumPy."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from models.base.wholeeras import FitEras, predict_in_eras
from models.kinds import count_weights, load_model, make_model, thread_bytes
from models.networks.eratransformerarrays import forward_era
from models.prediction.predictor import whole_eras_in
from models.training.train import train_model
from tests.models.conftest import member, training
from tests.models.planted import PLAN, windows_of

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient
Shape = pytest.importorskip("models.networks.transformershape").Shape
eratransformer = pytest.importorskip("models.networks.eratransformer")

SMALL = {
    "tokens": 4, "width": 16, "feedforward": 32, "heads": 2, "points": 4, "dropout": 0.1,
    "updates": 150, "batch_size": 400, "learning_rate": 0.005, "validation_share": 0.0,
}  # fmt: skip
ACROSS = {**SMALL, "across": "era"}


def world(seed, eras=40, rows=100):
    """What feature 0 is worth has a sign of its own in each era; it shows in the mean of feature 5 in this era."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], eras)
    x = rng.integers(0, 5, (eras, rows, 8))
    moved = rng.random((eras, rows)) < 0.35
    x[..., 5] = np.where(moved, (x[..., 5] + 2 * signs[:, None]).clip(0, 4), x[..., 5])
    y = signs[:, None] * (x[..., 0] - 2) + 0.7 * rng.normal(size=(eras, rows))
    return x.reshape(-1, 8).astype(np.int8), y.reshape(-1), np.arange(0, eras * rows + 1, rows)


def corr_by_era(model, x, y, offsets):
    """The correlation in each era."""
    predictions = predict_in_eras(model, x, offsets, plan=PLAN)
    return np.array([np.corrcoef(predictions[a:b], y[a:b])[0, 1] for a, b in pairwise(offsets)])


def fit(data, plan=PLAN, checkpoints=None, seed=3, **params):
    x, y, offsets = data
    model = make_model("transformer", {**ACROSS, **params}, checkpoints=checkpoints)
    model.fit(x, y, plan=plan, seed=seed, eras=FitEras(offsets, np.arange(len(offsets) - 1), 1))
    return model


@pytest.fixture(scope="module")
def data():
    return world(1)


@pytest.fixture(scope="module")
def fitted(data):
    return fit(data)


def test_numpy_gives_what_the_trained_module_gives():
    torch.manual_seed(4)
    module = eratransformer.EraTransformer([[0, 5, 3], [1], [2, 4, 6, 7]], Shape(24, 2, 4, 48, 0.3), 5).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    codes, offsets = np.random.default_rng(1).integers(0, 5, (700, 8), dtype=np.int8), [0, 300, 301, 700]
    with torch.no_grad():
        expected = module((torch.tensor(codes).float() - 2) * 0.5**0.5, torch.tensor(offsets)).numpy()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    eras = [codes[start:stop] for start, stop in pairwise(offsets)]
    assert expected.std() > 0.03
    np.testing.assert_allclose(np.concatenate([forward_era(weights, era) for era in eras]), expected, atol=1e-5)
    order = np.random.default_rng(2).permutation(300)  # a row's place in its era does not matter
    np.testing.assert_allclose(forward_era(weights, eras[0][order]), expected[:300][order], atol=1e-5)


@pytest.mark.parametrize(("kind", "params"), [("transformer", SMALL), ("mlp", {"hidden": [64, 32], "updates": 150})])
def test_it_finds_what_only_the_cross_section_shows(data, fitted, kind, params):
    """Networks of about its size that see the same rows one by one find nothing: the paired bound is far above 0."""
    alone = make_model(kind, params)
    alone.fit(*data[:2], plan=PLAN, seed=3)
    fresh = world(2, eras=30)
    gain = corr_by_era(fitted, *fresh) - corr_by_era(alone, *fresh)
    assert gain.mean() - 3 * gain.std(ddof=1) / len(gain) ** 0.5 > 0.3


def test_eras_do_not_touch_each_other_and_threads_and_tiles_change_no_bit(data, fitted):
    x, _, offsets = data
    whole = fitted.predict(x, plan=PLAN, eras=offsets)
    alone = np.concatenate([fitted.predict(x[start:stop]) for start, stop in pairwise(offsets)])
    assert alone.tobytes() == whole.tobytes()
    assert (
        fitted.predict(x, plan=replace(PLAN, threads=3, rows_in_memory=64), eras=offsets).tobytes() == whole.tobytes()
    )


def test_threads_and_a_kill_change_no_bit_of_the_training(data, fitted, tmp_path, monkeypatch):
    expected, computed = fitted.predict(data[0][:100]), BatchGradient.of
    monkeypatch.setattr(BatchGradient, "of", lambda self, batch, at: computed(self, batch, at) if at < 70 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(data, checkpoints=tmp_path)
    monkeypatch.undo()
    assert fit(data, replace(PLAN, threads=2), checkpoints=tmp_path).predict(data[0][:100]).tobytes() == (
        expected.tobytes()
    )


def test_rows_without_a_target_belong_to_the_era_and_shuffled_targets_teach_nothing(data):
    x, y, offsets = data
    few = y.copy()
    few[np.arange(len(y)) % 2 == 1] = np.nan
    fresh = world(2, eras=30)
    assert corr_by_era(fit((x, few, offsets)), *fresh).mean() > 0.3
    rng = np.random.default_rng(4)
    shuffled = np.concatenate([rng.permutation(y[start:stop]) for start, stop in pairwise(offsets)])
    assert abs(corr_by_era(fit((x, shuffled, offsets)), *fresh).mean()) < 0.1


def test_the_stage_gives_it_whole_eras_and_the_saved_model_says_that_it_needs_them(week, tmp_path):
    given = member("transformer", across="era", updates=10)
    train_model(**training(week.store, tmp_path, given, windows=windows_of(week.store.eras, first=50, folds=1)))
    assert json.loads((tmp_path / "model" / "model.json").read_text())["needs_whole_eras"] is True
    assert whole_eras_in(tmp_path / "model")
    assert load_model(tmp_path / "model").needs_whole_eras
    assert not make_model("transformer").needs_whole_eras


def test_weights_are_counted_as_they_are(fitted):
    real = sum(array.size for array in fitted._weights.values() if array.dtype == np.float32)
    assert count_weights("transformer", ACROSS, 8) == pytest.approx(real, rel=0.03)


def test_a_thread_holds_an_era_where_its_rows_attend_to_each_other():
    alone, across = (thread_bytes("transformer", {"across": mode}, 5120) for mode in ("groups", "era"))
    assert across == 20 * alone
    assert 256 * 50_000 < alone == thread_bytes("transformer", {"width": "wide"}, 100) < 256 * 80_000
    assert thread_bytes("transformer", {"across": "era"}, 10) == alone  # never less than a block
    assert thread_bytes("lightgbm", {}, 5120) == 0
