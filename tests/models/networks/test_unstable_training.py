"""A training that goes wrong is named, and walks down the ladder of plans to one that learns."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from eraflow.machine.failures import StageError, StageNaN, StageStalled
from eraflow.machine.plan import next_plan
from tests.models.networks.mlpfits import fit
from tests.models.planted import PLAN, plant

torch = pytest.importorskip("torch")
BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient
DIGEST_BYTES = pytest.importorskip("models.networks.checkpoint").DIGEST_BYTES
perceptron = pytest.importorskip("models.networks.perceptron").perceptron


def test_clipping_bounds_the_gradient(data, monkeypatch):
    lengths, step = [], torch.optim.AdamW.step

    def seen(self, closure=None):
        gradients = [each.grad for group in self.param_groups for each in group["params"]]
        lengths.append(float(torch.nn.utils.get_total_norm(gradients)))
        return step(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", seen)
    fit(data, replace(PLAN, clip_norm=0.05))
    assert max(lengths) == pytest.approx(0.05, rel=1e-3)
    lengths.clear()
    fit(data)
    assert max(lengths) > 0.1


def walk(data, first, attempts=12, **params):
    """The ladder without processes: plan after plan until it is done; the failures on the way and the last plan."""
    failures = []
    for _ in range(attempts):
        plan = next_plan(first, failures)
        if plan is None:
            return None, failures, None
        try:
            return fit(data, plan, **params), failures, plan
        except StageError as error:
            failures.append(error.kind)
    raise AssertionError("it never ended")


def test_an_absurd_rate_walks_down_to_one_that_learns(data):
    model, failures, plan = walk(data, PLAN, learning_rate=30.0)
    assert failures[0] in ("nan", "diverged")
    assert set(failures) <= {"nan", "diverged", "stalled"}  # the last step but one may die quietly
    assert plan.rate_factor < 1
    assert plan.clip_norm <= 1
    fresh = plant(eras=10, seed=5)
    assert np.corrcoef(model.predict(fresh.x), fresh.y)[0, 1] > 0.1
    assert model.trained_with["rate_factor"] == plan.rate_factor


def test_no_rate_helps_a_training_that_cannot_be_helped(data):
    model, failures, _ = walk(data, PLAN, learning_rate=1e30)
    assert model is None
    assert len(failures) == 5


def test_nan_in_a_gradient_is_named_before_it_reaches_the_weights(data, monkeypatch, tmp_path):
    computed = BatchGradient._computed

    def spoilt(self, own, piece):
        result = computed(self, own, piece)
        if self.at == 30:
            result.gradients[0][0, 0] = float("nan")
        return result

    of = BatchGradient.of
    monkeypatch.setattr(BatchGradient, "of", lambda self, batch, at: (setattr(self, "at", at), of(self, batch, at))[1])
    monkeypatch.setattr(BatchGradient, "_computed", spoilt)
    with pytest.raises(StageNaN, match="the gradient norm of mlp is nan at update 30"):
        fit(data, checkpoints=tmp_path)
    for slot in ("last.pt", "best.pt"):
        kept = torch.load(io.BytesIO((tmp_path / slot).read_bytes()[DIGEST_BYTES:]), weights_only=True)["module"]
        assert all(torch.isfinite(weight).all() for weight in kept.values())


@pytest.mark.parametrize("updates", [5, 16, 96])
def test_a_network_that_predicts_a_constant_is_named(data, monkeypatch, updates):
    """All of its units are dead from the beginning."""

    def dead(*args):
        module = perceptron(*args)
        torch.nn.init.constant_(module[5].bias, -50)
        return module

    monkeypatch.setattr("models.networks.perceptron.perceptron", dead)
    with pytest.raises(StageStalled, match="predicts a constant"):
        fit(data, updates=updates)
