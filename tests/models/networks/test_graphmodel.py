"""gatv2 and gin: torch-geometric's layers, the processor's and NumPy's compute the same; resumed to the same bytes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base.protocol import ModelSettingsError
from models.kinds import count_weights, load_model, make_model, model_class
from models.networks.featuregraph import NONE, edge_list
from models.networks.graphshape import GraphShape
from models.networks.weightfile import to_bytes
from tests.models.planted import PLAN, fast

torch = pytest.importorskip("torch")
graphnetwork = pytest.importorskip("models.networks.graphnetwork")

TABLE = np.array([[1, 2, 6], [0, 7, NONE], [0, NONE, NONE], [NONE] * 3, [5, NONE, NONE], [4, 6, NONE],
                  [0, 5, 7], [1, 6, NONE]])  # fmt: skip
SHAPES = {"gatv2": GraphShape(5, 2, 3, 0.5), "gin": GraphShape(7, 3, 0, 0.5)}
every_graph = pytest.mark.parametrize("kind", sorted(SHAPES))


def fit(kind, data, plan=PLAN, checkpoints=None, **params):
    model = make_model(kind, {**fast(kind), **params}, checkpoints=checkpoints)
    model.fit(*data, plan=plan, seed=3)
    return model


def digest(model):
    return hashlib.sha256(to_bytes(model._weights)).hexdigest()


def module_of(kind, table=TABLE):
    """A network whose weights are far from where they begin."""
    torch.manual_seed(4)
    module = graphnetwork.GraphNetwork(table, SHAPES[kind]).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def reference(kind, width=4):
    """A layer of torch-geometric, and ours with its weights."""
    from torch_geometric.nn import GATv2Conv, GINConv

    torch.manual_seed(6)
    if kind == "gatv2":
        theirs, mine = GATv2Conv(width, 5, 3, residual=True), graphnetwork.AttentionLayer(width, 5, 3)
    else:
        linear = torch.nn.Linear
        theirs = GINConv(torch.nn.Sequential(linear(width, 7), torch.nn.ReLU(), linear(7, 7)), train_eps=True)
        mine = graphnetwork.SumLayer(width, 7)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter))
    mine.load_state_dict(theirs.state_dict())
    return theirs, mine


def gradients_of(values, x, module):
    leaves = {"x": x, **dict(module.named_parameters())}
    return dict(zip(leaves, torch.autograd.grad(values.sum(), list(leaves.values())), strict=True))


@every_graph
def test_a_layer_is_that_of_torch_geometric_on_the_batched_edges_forward_and_backward(kind):
    theirs, mine = reference(kind)
    rows, nodes = 6, len(TABLE)
    x = torch.randn(rows, nodes, 4, requires_grad=True)
    edges = torch.from_numpy(np.concatenate([edge_list(TABLE) + row * nodes for row in range(rows)], axis=1))
    expected = theirs(x.flatten(0, 1), edges).unflatten(0, (rows, nodes))
    found = mine(x.transpose(0, 1), graphnetwork.Graph.of(torch.from_numpy(TABLE))).transpose(0, 1)
    assert expected.std() > 0.5
    scale = float(expected.detach().abs().max())  # measured: 2e-7 of it
    torch.testing.assert_close(found, expected, atol=1e-6 * scale, rtol=0)
    slope = torch.randn_like(expected)
    named = gradients_of(expected * slope, x, theirs)
    for name, gradient in gradients_of(found * slope, x, mine).items():
        torch.testing.assert_close(gradient, named[name], atol=1e-6 * float(named[name].abs().max()) + 1e-5, rtol=0)


@every_graph
@pytest.mark.parametrize("table", [TABLE, TABLE[:, :0]], ids=["edges", "none"])
def test_numpy_gives_what_the_trained_module_gives(kind, table):
    module = module_of(kind, table)
    codes = np.random.default_rng(1).integers(0, 5, (256, 8)).astype(np.float32)
    with torch.no_grad():
        expected = module((torch.tensor(codes) - 2) * 0.5**0.5).numpy()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    forward = model_class(kind)._forward
    found = forward(weights, codes.copy())
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    order = np.random.default_rng(2).permutation(256)  # a row's bits do not depend on its place
    assert forward(weights, codes[order]).tobytes() == found[order].tobytes()


def values_and_gradients(module, way, x):
    """What all layers give, and the gradients of a function of it that treats no node like another."""
    nodes = getattr(module, way)(x)
    loss = (nodes * torch.sin(torch.arange(nodes.numel())).reshape(nodes.shape)).square().sum()
    weights = [module.embedding, *module.layers.parameters()]
    return [nodes.detach(), *torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)]


def assert_alike(found, expected):
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(other.abs().max()))  # measured: at most 8e-7 of it
        torch.testing.assert_close(one, other, atol=1e-5 * scale, rtol=0)


@st.composite
def tables(draw):
    """Any symmetric graph of two to nine features."""
    count = draw(st.integers(2, 9))
    every = [(one, other) for one in range(count) for other in range(one)]
    pairs = draw(st.lists(st.sampled_from(every), unique=True))
    neighbours = [sorted({*(b for a, b in pairs if a == f), *(a for a, b in pairs if b == f)}) for f in range(count)]
    widest = max(map(len, neighbours))
    return np.array([[*mine, *[NONE] * (widest - len(mine))] for mine in neighbours]).reshape(count, widest)


@every_graph
@settings(max_examples=25, deadline=None)
@given(table=tables(), seed=st.integers(0, 99))
def test_the_processor_and_torch_alone_give_the_same_values_and_gradients_over_any_graph(kind, table, seed):
    module = module_of(kind, table.astype(np.int64))
    x = torch.randn(30, len(table), generator=torch.Generator().manual_seed(seed))
    assert_alike(values_and_gradients(module, "_on_cpu", x), values_and_gradients(module, "_on_gpu", x))


@every_graph
@pytest.mark.parametrize("way", ["_on_cpu", "_on_gpu"])
def test_rows_at_a_time_change_neither_values_nor_gradients(kind, way, monkeypatch):
    x = torch.randn(40, len(TABLE))
    found = []
    for values in (1, 1 << 20):
        monkeypatch.setattr(graphnetwork, "CHUNK_VALUES", values)
        monkeypatch.setattr("models.networks.grapharrays.CHUNK_VALUES", values)
        found.append(values_and_gradients(module_of(kind), way, x))
    assert_alike(*found)


@every_graph
def test_the_bits_of_the_processor_do_not_depend_on_how_many_threads_torch_and_numpy_have(kind):
    from threadpoolctl import threadpool_limits

    x, digests = torch.randn(300, len(TABLE), generator=torch.Generator().manual_seed(2)), set()
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            parts = values_and_gradients(module_of(kind), "_on_cpu", x)
        digests.add(hashlib.sha256(b"".join(each.numpy().tobytes() for each in parts)).hexdigest())
    assert len(digests) == 1


@every_graph
def test_rows_without_a_target_do_not_touch_the_graph(kind, data):
    """The second half of the rows has its own strong correlations, and no target."""
    x, y = data[0].copy(), data[1].copy()
    y[1000:] = np.nan
    graph = fit(kind, (x, y), updates=8)._weights["neighbours"]
    x[1000:, 1::2] = x[1000:, ::2]
    np.testing.assert_array_equal(fit(kind, (x, y), updates=8)._weights["neighbours"], graph)
    y[1000:] = data[1][1000:]
    assert not np.array_equal(fit(kind, (x, y), updates=8)._weights["neighbours"], graph)


@every_graph
def test_the_controls_have_other_edges_or_none(kind, data):
    graphs = {
        edges: fit(kind, data, edges=edges, updates=8)._weights["neighbours"]
        for edges in ("correlation", "shuffled", "none")
    }
    assert graphs["none"].shape == (12, 0)
    assert sorted(map(int, (graphs["shuffled"] != NONE).sum(1))) == sorted((graphs["correlation"] != NONE).sum(1))
    assert not np.array_equal(graphs["shuffled"], graphs["correlation"])


@every_graph
def test_a_saved_model_keeps_its_graph(kind, data, tmp_path):
    model = fit(kind, data, updates=8)
    model.save(tmp_path)
    np.testing.assert_array_equal(load_model(tmp_path)._weights["neighbours"], model._weights["neighbours"])


@pytest.mark.parametrize(
    ("kind", "params", "named"),
    [
        ("gatv2", {"edges": "best"}, "correlation, shuffled or none"),
        ("gatv2", {"neighbours": 0}, "neighbours"),
        ("gin", {"heads": 2}, "heads"),
        ("gin", {"dropout": 1}, "dropout"),
    ],
)
def test_a_wrong_parameter_is_named_before_the_work(kind, params, named):
    with pytest.raises(ModelSettingsError, match=named):
        make_model(kind, params)


@every_graph
def test_weights_are_counted_as_they_are(kind, data):
    model = fit(kind, data, layers=3, updates=8)
    real = sum(array.size for name, array in model._weights.items() if name != "neighbours")
    assert count_weights(kind, {**fast(kind), "layers": 3}, 12) == real
    assert count_weights(kind, {"width": "wide"}, 12) == count_weights(kind, {}, 12)
