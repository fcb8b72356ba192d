"""The transformer: its groups, the same function in NumPy, resumed to the same bytes, nothing from shuffled targets."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest

from eraflow.kinds import KINDS
from models.base.libraries import MissingLibraryError
from models.base.protocol import ModelSettingsError
from models.kinds import count_weights, load_model, make_model
from models.networks.transformerarrays import forward
from models.networks.weightfile import to_bytes
from models.training.train import train_model
from tests.models.conftest import member, training
from tests.models.planted import PLAN, fast, windows_of

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
Shape = pytest.importorskip("models.networks.transformershape").Shape
grouptransformer = pytest.importorskip("models.networks.grouptransformer")

GROUPS = {"rain": (0, 1), "sun": (2, 3, 4), "wind": (5, 6, 7, 8)}


def fit(data, plan=PLAN, checkpoints=None, groups=None, **params):
    model = make_model("transformer", {**fast("transformer"), **params}, checkpoints=checkpoints, groups=groups)
    model.fit(*data, plan=plan, seed=3)
    return model


def digest(model):
    return hashlib.sha256(to_bytes(model._weights)).hexdigest()


@pytest.mark.parametrize("shape", [Shape(16, 1, 1, 8, 0.1), Shape(24, 3, 4, 48, 0.0)])
def test_numpy_gives_what_the_trained_module_gives(shape):
    """With weights that are far from where they begin."""
    torch.manual_seed(4)
    module = grouptransformer.GroupTransformer([[0, 5, 3], [1], [2, 4, 6, 7]], shape).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    codes = np.random.default_rng(1).integers(0, 5, (256, 8)).astype(np.float32)
    with torch.no_grad():
        expected = module((torch.tensor(codes) - 2) * 0.5**0.5).numpy()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    found = forward(weights, codes.copy())
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)
    order = np.random.default_rng(2).permutation(256)  # a row's bits do not depend on its place
    assert forward(weights, codes[order]).tobytes() == found[order].tobytes()


def test_the_tokens_are_the_named_groups_and_the_rest(data):
    model = fit(data, groups=GROUPS, updates=8)
    assert model.trained_with["tokens"] == {"rain": 2, "sun": 3, "wind": 4, "others": 3}


def test_a_model_of_some_columns_has_the_groups_of_these(data):
    columns = [1, 3, 4, 8, 10]
    named = {"columns": columns, "groups": {**GROUPS, "moon": (11,)}}
    model = make_model("transformer", {**fast("transformer"), "updates": 8}, **named)
    model.fit(*data, plan=PLAN, seed=3)
    assert model.trained_with["tokens"] == {"rain": 1, "sun": 2, "wind": 1, "others": 1}
    narrow = make_model(
        "transformer", {**fast("transformer"), "updates": 8}, groups={"a": (0,), "b": (1, 2), "c": (3,)}
    )
    narrow.fit(data[0][:, columns], data[1], plan=PLAN, seed=3)
    assert narrow.predict(data[0][:, columns]).tobytes() == model.predict(data[0]).tobytes()


def test_the_stage_trains_on_the_groups_of_the_member(week, tmp_path):
    groups = {"first": ("feature_00", "feature_03", "feature_gone"), "second": ("feature_01",)}
    given = member("transformer", updates=16)
    short = {"windows": windows_of(week.store.eras, first=50, folds=1), "groups": groups}
    train_model(**training(week.store, tmp_path, given, **short))
    model = load_model(tmp_path / "model")
    assert model.trained_with["tokens"] == {"first": 2, "second": 1, "others": 9}


def test_without_transformers_the_error_names_the_extra(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingLibraryError, match=r"missing_library: .*eraflow\[networks\]"):
        fit(data)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"width": 10, "heads": 4}, "multiple of heads"),
        ({"groups": "best"}, "named, correlated or shuffled"),
        ({"tokens": 0}, "tokens"),
        ({"hidden": [3]}, "hidden"),
    ],
)
def test_a_wrong_parameter_is_named_before_the_work(params, named):
    with pytest.raises(ModelSettingsError, match=named):
        make_model("transformer", params)


def test_weights_are_counted_as_they_are(data):
    params = {**fast("transformer"), "tokens": 4, "layers": 2}
    model = fit(data, layers=2, updates=8)
    real = sum(array.size for name, array in model._weights.items() if array.dtype == np.float32)
    assert count_weights("transformer", params, 12) == pytest.approx(real, rel=0.02)
    assert count_weights("transformer", {"width": "wide"}, 12) == count_weights("transformer", {}, 12)
    assert KINDS["transformer"].takes_groups
