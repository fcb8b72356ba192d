"""Dropout drawn four units at a time: the right share, scaled by it, each unit by itself, from its own generator."""

import pytest

torch = pytest.importorskip("torch")
dropout = pytest.importorskip("models.networks.dropout")


def dropped(share, shape, seed=1, dtype=torch.float32):
    layer = dropout.SeededDropout(share).train()
    layer.generator = torch.Generator().manual_seed(seed)
    return layer(torch.ones(shape, dtype=dtype))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_so_many_units_are_dropped_and_the_others_scaled_up(share):
    found = dropped(share, (1_000, 401))
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.004)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    kept = found[found > 0]
    assert float(kept.min()) == float(kept.max()) == pytest.approx(1 / (1 - share), rel=1e-4)


def test_units_that_are_drawn_together_are_dropped_apart():
    kept = (dropped(0.5, (20_000, 8)) > 0).double()
    together = torch.corrcoef(kept.T)
    assert (together - torch.eye(8)).abs().max() < 0.04
    assert (kept.mean(dim=0) - 0.5).abs().max() < 0.02


@pytest.mark.parametrize("count", [1, 3, 4, 5, 257])
def test_the_seed_decides_and_nothing_else(count):
    before = torch.get_rng_state()
    assert torch.equal(dropped(0.5, (count, 33)), dropped(0.5, (count, 33)))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(dropped(0.5, (count, 33)), dropped(0.5, (count, 33), seed=2))


def test_the_ends_of_the_scale():
    assert torch.equal(dropped(1e-9, (50, 50)), torch.ones(50, 50))
    nearly = dropped(0.9999999, (200, 200))
    assert torch.isfinite(nearly).all()
    assert int((nearly > 0).sum()) < 20
    assert dropped(0.3, (5, 7), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_gradient_passes_where_the_unit_is_kept_and_prediction_drops_nothing():
    layer = dropout.SeededDropout(0.5).train()
    layer.generator = torch.Generator().manual_seed(3)
    x = torch.randn(9, 11, requires_grad=True)
    found = layer(x)
    found.sum().backward()
    assert torch.equal(x.grad, torch.where(found != 0, 2.0, 0.0))
    assert layer.eval()(x) is x
