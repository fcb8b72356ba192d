"""The autoencoder: its three parts learn together, its noise is seeded, and it predicts without torch or decoder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from models.base.protocol import ModelSettingsError
from models.kinds import count_weights, load_model, make_model
from models.networks.weightfile import to_bytes
from tests.models.networks.killedfits import Killed, dies_at, updates_seen
from tests.models.planted import PLAN, fast, plant

torch = pytest.importorskip("torch")
network = pytest.importorskip("models.networks.network")
autoencoder = pytest.importorskip("models.networks.supervisedautoencoder")

FAST = fast("autoencoder")


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=12, rows=50)
    return planted.x, planted.y


def fit(data, plan=PLAN, checkpoints=None, seed=3, **params):
    model = make_model("autoencoder", {**FAST, **params}, checkpoints=checkpoints)
    model.fit(*data, plan=plan, seed=seed)
    return model


def content(model):
    return to_bytes(model._weights)


def module_of(model, **change):
    made = autoencoder.SupervisedAutoencoder(12, FAST["hidden"], FAST["code"], 0.1, 0.5)
    made.load_state_dict({name: torch.from_numpy(array) for name, array in {**model._weights, **change}.items()})
    return made.eval()


def as_seen(x):
    return (torch.from_numpy(x).float() - 2) * np.sqrt(0.5)


def test_prediction_is_the_trained_function_without_torch_or_decoder(data, tmp_path, monkeypatch):
    model = fit(data)
    model.save(tmp_path)
    nothing = {name: np.zeros_like(array) for name, array in model._weights.items() if name.startswith("decoder")}
    assert len(nothing) == 2
    with torch.no_grad():
        expected = module_of(model, **nothing)(as_seen(data[0]))[:, 0].numpy() * model._scale + model._centre
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    loaded = load_model(tmp_path)
    assert loaded._weights.keys() == model._weights.keys() - nothing.keys()
    found = loaded.predict(data[0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for start, stop in ((0, 1), (3, 300), (255, 258), (599, 600)):
        part = loaded.predict(data[0][start:stop], plan=replace(PLAN, threads=3))
        assert part.tobytes() == found[start:stop].tobytes()


def test_the_code_learns_to_tell_the_features(data):
    """With as many numbers as it needs; without its weight in the loss the decoder stays as it was made."""

    def error(**params):
        model = fit(data, code=24, noise=0.0, **params)
        module = autoencoder.SupervisedAutoencoder(12, FAST["hidden"], 24, 0.0, 0.5)
        module.load_state_dict({name: torch.from_numpy(array) for name, array in model._weights.items()})
        with torch.no_grad():
            return float(module.eval()(as_seen(data[0]))[:, 1].mean())

    assert error(reconstruction=1.0) < 0.6
    assert error(reconstruction=0.0) > 0.95


def test_the_head_sees_the_code(data):
    model = fit(data)
    code = 12 + np.arange(FAST["code"])
    blind = model._weights["head.0.weight"].copy()
    blind[:, code] = 0
    with torch.no_grad():
        usual, without = (
            module_of(model, **change)(as_seen(data[0]))[:, 0] for change in ({}, {"head.0.weight": blind})
        )
    assert (usual - without).abs().max() > 0.01


def test_the_noise_is_drawn_from_what_the_loop_gives(data, tmp_path, monkeypatch):
    """Neither threads, a kill nor what was drawn before change a byte; another amount of noise does."""
    expected = content(fit(data, dropout=0.0))
    torch.manual_seed(99)
    assert content(fit(data, replace(PLAN, threads=2), dropout=0.0)) == expected
    assert content(fit(data, dropout=0.0, noise=0.0)) != expected
    with monkeypatch.context() as patch:
        dies_at(patch, 20)
        with pytest.raises(Killed):
            fit(data, checkpoints=tmp_path, dropout=0.0)
    seen = updates_seen(monkeypatch)
    assert content(fit(data, checkpoints=tmp_path, dropout=0.0)) == expected
    assert 0 < seen[0] <= 20


def test_without_training_there_is_no_noise():
    module = autoencoder.SupervisedAutoencoder(5, [4], 3, 10.0, 0.5).eval()
    x = torch.ones(7, 5)
    assert torch.equal(module(x), module(x))


def test_the_loss_is_of_both_parts_and_of_rows_with_a_known_target():
    output = torch.tensor([[1.0, 0.5], [2.0, 0.25], [5.0, 100.0]])
    targets = torch.tensor([0.0, 2.0, torch.nan])
    loss = autoencoder.PredictionAndReconstruction(2.0)
    judged = loss(output, network.Piece(targets, torch.tensor([0, 3])))
    assert (float(judged.total), judged.count) == (1.0 + 2 * 0.75, 2)
    assert judged.predictions.tolist() == [1.0, 2.0]
    whole = loss(output[:2], network.Piece(targets[:2], None))
    assert (float(whole.total), whole.count) == (2.5, 2)
    with pytest.raises(network.OutputShapeError, match=r"gave \[3\]"):
        loss(output[:, 0], network.Piece(targets, None))


@pytest.mark.parametrize(
    ("params", "named"),
    [({"code": 0}, "code"), ({"noise": -1}, "noise"), ({"reconstruction": "much"}, "reconstruction"), ({"k": 2}, "k")],
)
def test_a_wrong_parameter_is_named_before_the_work(params, named):
    with pytest.raises(ModelSettingsError, match=f"autoencoder.* {named}|{named!r}"):
        make_model("autoencoder", params)


def test_weights_are_counted_as_the_module_has_them():
    made = autoencoder.SupervisedAutoencoder(10, [7, 5], 3, 0.1, 0.5)
    matrices = sum(parameter.numel() for parameter in made.parameters() if parameter.ndim > 1)
    assert count_weights("autoencoder", {"hidden": [7, 5], "code": 3}, 10) == matrices
    assert count_weights("autoencoder", {"code": "long"}, 10) == count_weights("autoencoder", {}, 10)


def test_making_a_model_imports_no_torch():
    code = "from models.kinds import make_model; make_model('autoencoder'); import sys; exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
