"""The module: its loss, the weight that rises, its seeded noise, and the same functions in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from models.compression import vaearrays

torch = pytest.importorskip("torch")
network = pytest.importorskip("models.networks.network")
vae = pytest.importorskip("models.compression.vae")


def module(**over):
    torch.manual_seed(3)
    return vae.VariationalAutoencoder(
        **{"n_features": 12, "hidden": [16, 8], "code": 4, "beta": 2.0, "warmup": 10, **over}
    )


def rows(count=300, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 12)).astype(np.float32))


def arrays_of(made):
    return {name: tensor.detach().numpy() for name, tensor in made.state_dict().items()}


def test_the_functions_in_numpy_are_those_of_the_module():
    made = module().eval()
    with torch.no_grad():
        for parameter in made.parameters():  # also what is zero or one when it is made
            parameter.add_(0.1 * torch.randn_like(parameter))
        x = rows()
        inner = made.encoder(x)
        means, spread = made.mean(inner), made.spread(inner).clamp(-8, 4)
        decoded = made.decoder(means)
    found, log_variances = vaearrays.code_moments(arrays_of(made), x.numpy())
    assert np.abs(means.numpy() - found).max() < 1e-5
    assert np.abs(spread.numpy() - log_variances).max() < 1e-5
    assert np.array_equal(vaearrays.code_means(vaearrays.of_encoder(arrays_of(made)), x.numpy()), found)
    assert np.abs(decoded.numpy() - vaearrays.reconstruction(arrays_of(made), means.numpy())).max() < 1e-5
    made_from = torch.distributions.Normal(means, (spread / 2).exp())
    expected = torch.distributions.kl_divergence(made_from, torch.distributions.Normal(0.0, 1.0))
    np.testing.assert_allclose(vaearrays.divergence(found, log_variances), expected.numpy(), atol=1e-5)


def test_the_output_is_error_and_weighted_divergence_for_a_feature():
    made, x = module(warmup=0).eval(), rows(50)
    with torch.no_grad():
        error, apart = made(x).numpy().T
    means, spread = vaearrays.code_moments(arrays_of(made), x.numpy())
    wrong = np.square(vaearrays.reconstruction(arrays_of(made), means) - x.numpy()).sum(axis=1) / 2
    np.testing.assert_allclose(error, wrong / 12, rtol=1e-4)
    np.testing.assert_allclose(apart, 2.0 * vaearrays.divergence(means, spread).sum(axis=1) / 12, rtol=1e-4, atol=1e-7)


def test_the_weight_rises_with_the_updates_seen_and_stays():
    made, x = module(), rows(20)
    made.generator = torch.Generator().manual_seed(1)
    weights = []
    for _ in range(12):
        weights.append(float(made._weight()))
        made(x)
    np.testing.assert_allclose(weights, [0.2 * min(10, update) for update in range(1, 13)], rtol=1e-6)
    made.eval()(x)
    assert int(made.updates) == 12  # a look does not count
    assert "updates" not in made.state_dict()  # it is no part of the model


def test_its_noise_comes_from_the_generator_alone():
    made, x = module(), rows(20)
    outputs = []
    for seed in (5, 5, 6):
        made.generator = torch.Generator().manual_seed(seed)
        made.updates.zero_()
        torch.manual_seed(len(outputs))
        outputs.append(made(x).detach())
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert torch.equal(made.eval()(x), made(x))


def test_the_loss_sums_both_parts_and_watches_the_error():
    output = torch.tensor([[1.0, 0.5], [2.0, 0.25]])
    judged = vae.EvidenceBound()(output, network.Piece(torch.zeros(2), None))
    assert (float(judged.total), judged.count, judged.predictions.tolist()) == (3.75, 2, [1.0, 2.0])
    with pytest.raises(network.OutputShapeError, match=r"gave \[2\]"):
        vae.EvidenceBound()(output[:, 0], network.Piece(torch.zeros(2), None))
