"""The gradient of a batch in pieces is plain torch's, for every sort of module, and buffers follow as torch's do."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from eraflow.machine.plan import Plan

torch = pytest.importorskip("torch")
modules = pytest.importorskip("tests.models.networks.modules")
BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient
Cpu = pytest.importorskip("models.networks.cpu").Cpu
ModuleCopy = pytest.importorskip("models.networks.modulecopy").ModuleCopy


@pytest.fixture(scope="module")
def data():
    return modules.planted()


def without_noise(module):
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return module


def computed(name, data, module, *, threads=1, size=2):
    """The rows of the first batch and their gradient in `module.grad`, as the loop computes it."""
    recipe = modules.Recipe(updates=9, batch_size=size, learning_rate=0.1, weight_decay=0.0)
    network, rows, targets, batches = modules.inputs(name, data, recipe=recipe)
    gradient = BatchGradient(network, module, rows, targets, batches, Cpu(Plan(threads=threads)), 3)
    batch = batches.of_epoch(0)[0]
    with gradient.workers():
        sums = gradient.of(batch, 0)
    gradient.follow()
    (whole,) = batches.pieces(batch, 10**9)
    x = (torch.from_numpy(rows.take(whole.rows)).float() - 2) * np.sqrt(0.5)
    offsets = () if whole.offsets is None else (torch.from_numpy(whole.offsets),)
    return sums, x, torch.from_numpy(targets[whole.rows]), offsets


@pytest.mark.parametrize("name", ["plain", "tied", "eras"])
@pytest.mark.parametrize("threads", [1, 3])
def test_it_is_the_gradient_of_the_whole_batch(name, data, threads):
    torch.manual_seed(1)
    module = without_noise(modules.MADE[name]().train())
    reference = copy.deepcopy(module)
    sums, x, y, offsets = computed(name, data, module, threads=threads, size=1_000)
    known = ~y.isnan()
    loss = (reference(x, *offsets) - y)[known].square().mean()
    loss.backward()
    assert len(x) > 256  # several pieces
    assert sums.count == known.sum()
    assert sums.mean_loss == pytest.approx(loss.item(), rel=1e-5)
    for mine, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None)
        if theirs.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_a_batch_of_one_piece_has_torchs_gradient_to_the_last_bit(data):
    torch.manual_seed(1)
    module = without_noise(modules.plain().train())
    reference = copy.deepcopy(module)
    _, x, y, _ = computed("plain", data, module, size=200)
    (reference(x) - y).square().sum().backward()
    for mine, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad / len(x))


def test_batch_normalisation_in_one_piece_is_torchs(data):
    torch.manual_seed(1)
    module = modules.WithBuffers().train()
    reference = copy.deepcopy(module)
    _, x, y, _ = computed("buffers", data, module, size=250)
    (reference(x) - y).square().mean().backward()
    for mine, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(module.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_buffers_are_averaged_over_the_pieces_and_constant_ones_stay(data):
    torch.manual_seed(1)
    module = modules.WithBuffers().train()
    before = copy.deepcopy(module)
    _, x, _, _ = computed("buffers", data, module, size=1_000)
    assert len(x) > 256
    means = [before.first(x[start : start + 256]).mean(dim=0) for start in range(0, len(x), 256)]
    weights = [len(x[start : start + 256]) / len(x) for start in range(0, len(x), 256)]
    mean = sum(weight * mean for weight, mean in zip(weights, means, strict=True))
    torch.testing.assert_close(module.norm.running_mean, 0.1 * mean.detach())
    assert module.norm.num_batches_tracked == 1
    for name in ("mask", "chosen", "shift"):
        assert torch.equal(getattr(module, name), getattr(before, name))


def test_a_copy_holds_no_weights_of_its_own_and_the_original_no_gradient_of_it():
    original = modules.Tied().train()
    own = ModuleCopy(original)
    assert len(own.parameters) == len([each for each in original.parameters() if each.requires_grad])
    for mine, theirs in zip(own.module.parameters(), original.parameters(), strict=True):
        assert mine is not theirs
        assert mine.data_ptr() == theirs.data_ptr()
    assert own.module.first is own.module.again
    assert own.module.drop is own.module.also
    own.begin(torch.Generator().manual_seed(1))
    own.module(torch.ones(4, modules.FEATURES)).sum().backward()
    assert all(each.grad is None for each in original.parameters())


def test_what_is_dropped_depends_on_the_generator_alone():
    x = torch.ones(4, modules.FEATURES)
    copies = [ModuleCopy(modules.plain()) for _ in range(2)]
    for own in copies:
        own.module.load_state_dict(copies[0].module.state_dict())
    results = []
    for own, seed in ((copies[0], 1), (copies[1], 1), (copies[0], 2)):
        own.begin(torch.Generator().manual_seed(seed))
        results.append(own.module[:3](x).detach())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
