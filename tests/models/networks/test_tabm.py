"""The tabm: the package's own module trains it, each of its networks by itself; NumPy predicts the mean of them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from models.base.libraries import MissingLibraryError
from models.base.protocol import ModelSettingsError, read_description
from models.kinds import count_weights, load_model, make_model
from models.networks.tabmarrays import forward
from models.networks.tabmshape import TabmShape
from models.networks.weightfile import to_bytes
from tests.models.networks.killedfits import Killed, dies_at, updates_seen
from tests.models.planted import PLAN, fast, plant

torch = pytest.importorskip("torch")
tabm = pytest.importorskip("tabm")
network = pytest.importorskip("models.networks.network")
ensemble = pytest.importorskip("models.networks.tabmensemble")


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=12, rows=50)
    return planted.x, planted.y


def fit(data, plan=PLAN, checkpoints=None, seed=3, **params):
    model = make_model("tabm", {**fast("tabm"), **params}, checkpoints=checkpoints)
    model.fit(*data, plan=plan, seed=seed)
    return model


def content(model):
    return to_bytes(model._weights)


def as_seen(codes):
    return (torch.from_numpy(codes).float() - 2) * np.sqrt(0.5)


@pytest.mark.parametrize("shape", [TabmShape(1, 1, 4, 0.0), TabmShape(5, 3, 16, 0.3)])
def test_numpy_gives_the_mean_of_what_the_packages_module_gives(shape):
    """With weights that are far from where they begin."""
    torch.manual_seed(4)
    module = ensemble.tabm_network(9, shape).make().eval()
    assert type(module) is tabm.TabM
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    codes = np.random.default_rng(1).integers(0, 5, (256, 9)).astype(np.int8)
    with torch.no_grad():
        given = module(as_seen(codes))
    assert given.shape == (256, shape.k, 1)
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    np.testing.assert_allclose(
        forward(weights, codes.astype(np.float32)), given.mean(dim=1)[:, 0].numpy(), atol=1e-5, rtol=1e-5
    )


def test_a_saved_model_predicts_without_torch_and_without_the_package(data, tmp_path, monkeypatch):
    model = fit(data)
    model.save(tmp_path)
    described = read_description(tmp_path)
    assert (described["library"], described["library_version"]) == ("tabm", tabm.__version__)
    expected = model.predict(data[0])
    for name in ("torch", "tabm"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    loaded = load_model(tmp_path)
    assert loaded.predict(data[0]).tobytes() == expected.tobytes()
    for start, stop in ((0, 1), (3, 300), (255, 258), (599, 600)):
        part = loaded.predict(data[0][start:stop], plan=replace(PLAN, threads=3))
        assert part.tobytes() == expected[start:stop].tobytes()


def test_the_same_bytes_after_a_kill_and_with_other_threads(data, tmp_path, monkeypatch):
    expected = content(fit(data))
    torch.manual_seed(99)
    assert content(fit(data, replace(PLAN, threads=2))) == expected
    with monkeypatch.context() as patch:
        dies_at(patch, 20)
        with pytest.raises(Killed):
            fit(data, checkpoints=tmp_path)
    seen = updates_seen(monkeypatch)
    assert content(fit(data, checkpoints=tmp_path)) == expected
    assert 0 < seen[0] <= 20


def test_the_loss_is_the_mean_of_the_losses_and_not_the_loss_of_the_mean():
    output = torch.tensor([[[1.0], [-1.0]], [[2.0], [4.0]], [[9.0], [9.0]]])
    targets = torch.tensor([0.0, 2.0, torch.nan])
    loss = ensemble.MeanOfSquaredErrors()
    judged = loss(output, network.Piece(targets, torch.tensor([0, 3])))
    assert (float(judged.total), judged.count) == (1.0 + 2.0, 2)
    assert judged.predictions.tolist() == [0.0, 3.0]
    whole = loss(output[:2], network.Piece(targets[:2], None))
    assert (float(whole.total), whole.count) == (3.0, 2)
    for wrong in (output[:, :, 0], output[:2], output.mT):
        with pytest.raises(network.OutputShapeError):
            loss(wrong, network.Piece(targets, None))


def test_its_networks_differ(data):
    model = fit(data)
    scales = model._weights["backbone.blocks.0.0.r"]
    assert len({scale.tobytes() for scale in scales}) == 3


@pytest.mark.parametrize(
    ("params", "named"), [({"k": 0}, "k"), ({"width": 2.5}, "width"), ({"dropout": 1}, "dropout"), ({"h": 2}, "'h'")]
)
def test_a_wrong_parameter_is_named_before_the_work(params, named):
    with pytest.raises(ModelSettingsError, match=f"tabm.* {named}"):
        make_model("tabm", params)


def test_weights_are_counted_as_the_module_has_them():
    module = ensemble.tabm_network(10, TabmShape(3, 2, 7, 0.1)).make()
    count = sum(parameter.numel() for parameter in module.parameters())
    assert count_weights("tabm", {"k": 3, "layers": 2, "width": 7}, 10) == count
    assert count_weights("tabm", {"k": "many"}, 10) == count_weights("tabm", {}, 10)


def test_without_the_package_the_error_names_the_extra(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "tabm", None)
    with pytest.raises(MissingLibraryError, match=r"missing_library: .*eraflow\[networks\]"):
        fit(data)


def test_making_a_model_imports_nothing_and_training_one_no_tables_and_no_trees():
    code = """
import sys
from models.kinds import make_model
make_model("tabm")
assert not {"torch", "tabm"} & set(sys.modules)
from models.networks.tabmlibrary import tabm_library
tabm_library()
assert "tabm" in sys.modules
assert not {"sklearn", "pandas", "scipy"} & set(sys.modules)
import sklearn.tree
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
