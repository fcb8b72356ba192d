"""The mlp: wrong parameters are named, and it predicts the trained function without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from eraflow.machine.plan import Plan
from models.base.libraries import MissingLibraryError
from models.base.protocol import ModelSettingsError
from models.kinds import load_model, make_model
from tests.models.networks.mlpfits import digest, fit
from tests.models.planted import PLAN

torch = pytest.importorskip("torch")
perceptron = pytest.importorskip("models.networks.perceptron").perceptron


def test_predictions_do_not_depend_on_neighbours_tiles_or_threads(data):
    model = fit(data)
    whole = model.predict(data[0])
    for start, stop in ((0, 1), (3, 700), (255, 258), (1999, 2000)):
        part = model.predict(data[0][start:stop], plan=Plan(threads=3))
        assert part.tobytes() == whole[start:stop].tobytes()


def test_prediction_is_the_trained_function_and_needs_no_torch(data, tmp_path, monkeypatch):
    model = fit(data, dropout=0.0)
    model.save(tmp_path)
    x = (torch.from_numpy(data[0]).float() - 2) * np.sqrt(0.5)
    module = perceptron(12, [32, 16], 0.0)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in model._weights.items()})
    with torch.no_grad():
        expected = module(x).numpy() * model._scale + model._centre
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    np.testing.assert_allclose(load_model(tmp_path).predict(data[0]), expected, atol=1e-5)


def test_without_torch_the_error_names_the_extra(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibraryError, match=r"missing_library: .*eraflow\[networks\]"):
        fit(data)


def test_making_and_loading_a_model_imports_no_torch():
    assert "torch" in sys.modules  # else the next line shows nothing
    code = "from models.kinds import make_model; make_model('mlp'); import sys; exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"hiden": [3]}, "hiden"),
        ({"n_estimators": 3}, "n_estimators"),
        ({"hidden": []}, "hidden"),
        ({"hidden": [0]}, "hidden"),
        ({"hidden": 64}, "hidden"),
        ({"dropout": 1.0}, "dropout"),
        ({"updates": 0}, "updates"),
        ({"updates": True}, "updates"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"batch_size": 2.5}, "batch_size"),
    ],
)
def test_a_wrong_parameter_is_named_before_the_work(params, named):
    with pytest.raises(ModelSettingsError, match=named):
        make_model("mlp", params)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_lower_precision_learns_nearly_the_same(data, precision):
    usual, lower = fit(data), fit(data, replace(PLAN, precision=precision))
    assert digest(usual) != digest(lower)
    assert np.corrcoef(usual.predict(data[0]), lower.predict(data[0]))[0, 1] > 0.95
    assert lower.trained_with["precision"] == precision
