"""What holds of networks of several kinds: resumed to the same bytes, nothing from shuffled targets, saved weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from eraflow.machine.failures import StageNaN
from models.base.wholeeras import FitEras, fit_in_eras
from models.kinds import load_model, make_model
from models.networks.weightfile import to_bytes
from tests.models.planted import PLAN, fast, plant

pytest.importorskip("torch")
BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient

LIBRARIES = {"tabm": "tabm", "transformer": "transformers"}
built_of_perceptrons = pytest.mark.parametrize("kind", ["autoencoder", "tabm"])
across_features = pytest.mark.parametrize("kind", ["gatv2", "gin", "transformer"])


@pytest.fixture(autouse=True)
def installed(kind):
    """What the kind is trained with beside torch is there, or its tests are skipped."""
    pytest.importorskip(LIBRARIES.get(kind, "torch"))


def fit(kind, data, plan=PLAN, checkpoints=None, seed=3, **params):
    model = make_model(kind, {**fast(kind), **params}, checkpoints=checkpoints)
    model.fit(*data, plan=plan, seed=seed)
    return model


def digest(model):
    return hashlib.sha256(to_bytes(model._weights)).hexdigest()


@across_features
def test_a_resumed_training_gives_the_bytes_of_an_uninterrupted_one(kind, data, tmp_path, monkeypatch):
    expected, whole = digest(fit(kind, data)), BatchGradient.of

    def dying(self, batch, at):
        if at == 30:
            raise KeyboardInterrupt
        return whole(self, batch, at)

    with monkeypatch.context() as patch:
        patch.setattr(BatchGradient, "of", dying)
        with pytest.raises(KeyboardInterrupt):
            fit(kind, data, checkpoints=tmp_path)
    assert list(tmp_path.iterdir())
    assert digest(fit(kind, data, checkpoints=tmp_path)) == expected


@across_features
def test_want_of_memory_changes_no_bit_and_nan_is_named(kind, data, monkeypatch):
    expected, computed = digest(fit(kind, data)), BatchGradient._computed
    calls = []

    def short(self, own, piece):
        calls.append(piece)
        if self.in_flight.pieces > 1:
            raise MemoryError
        return computed(self, own, piece)

    with monkeypatch.context() as patch:
        patch.setattr(BatchGradient, "_computed", short)
        assert digest(fit(kind, data, replace(PLAN, threads=2))) == expected
    assert calls
    with pytest.raises(StageNaN):
        fit(kind, data, learning_rate=1e30)


@across_features
def test_shuffled_targets_teach_nothing(kind):
    planted = plant(eras=20, rows=100)
    fresh = plant(eras=10, seed=5)
    model = fit(kind, (planted.x, planted.shuffled_within_eras(1).y))
    assert abs(np.corrcoef(model.predict(fresh.x), fresh.y)[0, 1]) < 4 / len(fresh.y) ** 0.5


@pytest.mark.parametrize(
    ("kind", "library"), [("gatv2", "torch_geometric"), ("gin", "torch_geometric"), ("transformer", "transformers")]
)
def test_saved_weights_predict_without_torch_and_the_library_of_the_kind(kind, library, data, tmp_path):
    model = fit(kind, data, updates=8)
    model.save(tmp_path)
    np.save(tmp_path / "x.npy", data[0][:300])
    code = f"""
import sys, numpy as np
sys.modules.update(dict.fromkeys(("torch", {library!r}, "scipy")))
from pathlib import Path
from models.kinds import load_model
folder = Path({str(tmp_path)!r})
sys.stdout.buffer.write(load_model(folder).predict(np.load(folder / "x.npy")).tobytes())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert told == model.predict(data[0][:300]).tobytes()


@built_of_perceptrons
def test_it_takes_what_the_training_offers(kind, tmp_path):
    """Two networks, stopped by eras that are kept back, on whole eras with their correlation in the loss."""
    planted, fresh = plant(eras=40, rows=30), plant(eras=12, rows=50, seed=5)
    eras = FitEras(np.arange(0, 1201, 30), np.arange(1, 41), 8)
    model = make_model(kind, {**fast(kind), "seeds": 2, "correlation_share": 0.5, "check_every": 12})
    fit_in_eras(model, planted.x, planted.y, eras, plan=PLAN, seed=3)
    assert all(point.corr is not None for curve in model.curves for point in curve)
    predictions = model.predict(fresh.x)
    assert np.corrcoef(predictions, fresh.y)[0, 1] > 0.3
    model.save(tmp_path)
    assert load_model(tmp_path).predict(fresh.x).tobytes() == predictions.tobytes()


@built_of_perceptrons
def test_shuffled_targets_give_nothing(kind):
    fresh, planted = plant(eras=12, rows=50, seed=5), plant(eras=12, rows=50)

    def score(y, seed=3):
        return np.corrcoef(fit(kind, (planted.x, y), seed=seed).predict(fresh.x), fresh.y)[0, 1]

    # What one shuffle teaches is a direction by chance; with twelve features it scatters by some .13.
    scores = [score(planted.shuffled_within_eras(seed).y, seed) for seed in range(8)]
    assert abs(np.mean(scores)) < 0.15
    assert score(planted.y) > 0.3
