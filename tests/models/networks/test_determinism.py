"""What is pinned on a GPU, by a plan that says so; on the CPU torch is left as it is."""

from __future__ import annotations

import os

import pytest

from eraflow.machine.plan import Plan

torch = pytest.importorskip("torch")
determinism = pytest.importorskip("models.networks.determinism")


def flags():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )


def test_on_a_gpu_everything_is_pinned_and_put_back(monkeypatch):
    monkeypatch.setattr(determinism, "usable_device", lambda plan: plan.device)
    monkeypatch.setenv(determinism.WORKSPACE, ":4096:8")  # so that it is put back
    monkeypatch.delenv(determinism.WORKSPACE)
    before = flags()
    with determinism.pinned(Plan(device="cuda"), wanted=True):
        assert flags() == (True, True, False, False, False)
        assert os.environ[determinism.WORKSPACE] == ":4096:8"
    assert flags() == before
    with pytest.raises(KeyError), determinism.pinned(Plan(device="cuda"), wanted=True):
        raise KeyError
    assert flags() == before


@pytest.mark.parametrize(("device", "wanted"), [("cpu", True), ("cuda", False)])
def test_else_torch_is_left_as_it_is(monkeypatch, device, wanted):
    monkeypatch.setattr(determinism, "usable_device", lambda plan: plan.device)
    before = flags()
    with determinism.pinned(Plan(device=device), wanted=wanted):
        assert flags() == before
