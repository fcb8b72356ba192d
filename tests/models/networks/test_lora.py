"""Adapters on a network: at first they change nothing, the rest is frozen, and merged they are the same function."""

from __future__ import annotations

import numpy as np
import pytest

from models.networks.eratransformerarrays import forward_era
from models.networks.transformerarrays import forward
from models.networks.transformershape import Shape

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
lora = pytest.importorskip("models.networks.lora")
transformer_network = pytest.importorskip("models.networks.grouptransformer").transformer_network
era_transformer_network = pytest.importorskip("models.networks.eratransformer").era_transformer_network

GROUPS = [[0, 5, 3], [1], [2, 4, 6, 7]]
PARAMS = {"lora_rank": 2, "lora_alpha": 4.0}
SHAPE = Shape(16, 2, 2, 8, 0.1)


def seeded(make, seed=4):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def arrays(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def trained_network(across):
    """A network whose weights are far from where they begin, and these weights."""
    network = era_transformer_network(GROUPS, SHAPE, 3) if across == "era" else transformer_network(GROUPS, SHAPE)

    def moved():
        module = network.make()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return module

    return network, arrays(seeded(moved))


def outputs(module, across):
    codes = np.random.default_rng(1).integers(0, 5, (256, 8)).astype(np.int8)
    x = (torch.tensor(codes.astype(np.float32)) - 2) * 0.5**0.5
    with torch.no_grad():
        return codes, (module(x, torch.tensor([0, 256])) if across == "era" else module(x)).numpy()


@pytest.mark.parametrize("across", ["groups", "era"])
def test_merged_adapters_are_the_same_function_in_numpy(across):
    network, weights = trained_network(across)
    adapted = seeded(lora.with_adapters(network, weights, PARAMS).make).eval()
    plain = network.make()
    plain.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    before = outputs(plain.eval(), across)[1]
    np.testing.assert_allclose(outputs(adapted, across)[1], before, atol=1e-6)  # at first they change nothing
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            assert parameter.requires_grad == ("lora_" in name or "modules_to_save" in name)
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))))
    codes, expected = outputs(adapted, across)
    assert np.abs(expected - before).max() > 0.1
    merged = lora.merged(adapted, weights)
    assert list(merged) == list(weights)
    found = forward_era(merged, codes) if across == "era" else forward(merged, codes.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_adapters_begin_by_the_seed_alone_and_drop_nothing_out():
    network, weights = trained_network("groups")
    make = lora.with_adapters(network, weights, PARAMS).make
    first, again, other = (arrays(seeded(make, seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if "lora_A" in name]
    assert len(drawn) == 12  # six linear layers in each of two layers
    assert not any(np.array_equal(first[name], other[name]) for name in drawn)
    rates = {part.p for part in seeded(make).modules() if isinstance(part, torch.nn.Dropout)}
    assert rates <= {0.0, 0.1}  # the network's own
