"""The losses: what they are for a constant and for a perfect prediction, and that they do not depend on the pieces."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
network = pytest.importorskip("models.networks.network")
losses = pytest.importorskip("models.networks.losses")

OFFSETS = torch.tensor([0, 30, 70])


@pytest.fixture
def targets():
    drawn = torch.from_numpy(np.random.default_rng(0).normal(size=70).astype(np.float32))
    for start, stop in ((0, 30), (30, 70)):
        part = drawn[start:stop]
        drawn[start:stop] = (part - part.mean()) / part.std(unbiased=False)
    return drawn


def mean_loss(share, output, targets, offsets=OFFSETS):
    loss = losses.WithCorrelation(losses.SquaredError(), share)
    judged = loss(output, network.Piece(targets, offsets))
    return float(judged.total / judged.count)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_constant_has_the_loss_that_is_said_and_the_target_itself_none(share, targets):
    loss = losses.WithCorrelation(losses.SquaredError(), share)
    assert loss.constant == 1
    assert mean_loss(share, torch.zeros(70), targets) == pytest.approx(1, abs=1e-5)
    assert mean_loss(share, targets.clone(), targets) == pytest.approx(0, abs=1e-5)


def test_it_is_the_correlation_of_each_era_weighted_by_its_rows(targets):
    output = targets + torch.from_numpy(np.random.default_rng(1).normal(size=70).astype(np.float32))
    expected = sum((1 - np.corrcoef(output[a:b], targets[a:b])[0, 1]) * (b - a) for a, b in ((0, 30), (30, 70)))
    assert mean_loss(1.0, output, targets) == pytest.approx(expected / 70, rel=1e-5)
    # An era's level and scale do not matter to it.
    moved = torch.cat([output[:30] * 3 + 5, output[30:] * 0.5 - 1])
    assert mean_loss(1.0, moved, targets) == pytest.approx(expected / 70, rel=1e-4)


def test_the_mix_is_the_mean_of_both(targets):
    output = targets * 0.1
    squared = float((output - targets).square().mean())
    assert mean_loss(0.25, output, targets) == pytest.approx(0.75 * squared, abs=1e-5)


def test_rows_without_a_target_do_not_count(targets):
    some = targets.clone()
    some[5], some[40:] = float("nan"), float("nan")
    output = torch.linspace(-1, 1, 70)
    other = output.clone()
    other[5], other[40:] = 99, -99
    assert mean_loss(0.5, output, some) == mean_loss(0.5, other, some)


def test_the_gradient_of_a_constant_is_finite_and_points_to_the_target(targets):
    output = torch.zeros(70, requires_grad=True)
    losses.WithCorrelation(losses.SquaredError(), 1.0)(output, network.Piece(targets, OFFSETS)).total.backward()
    assert output.grad.isfinite().all()
    assert float((output.grad * targets).sum()) < 0


def test_several_predictions_a_row_are_named(targets):
    class Several:
        constant = None

        def __call__(self, output, piece):
            return network.Judged(output.sum(), 70, torch.zeros(140))

    with pytest.raises(network.OutputShapeError, match="correlation_share=0"):
        losses.WithCorrelation(Several(), 0.5)(torch.zeros(70), network.Piece(targets, OFFSETS))
