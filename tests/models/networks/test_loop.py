"""Any module trains, and neither threads, nor leaner plans, nor a kill, nor a lack of memory change a byte of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eraflow.machine.failures import StageDiverged, StageNaN, classify

torch = pytest.importorskip("torch")
modules = pytest.importorskip("tests.models.networks.modules")
network = pytest.importorskip("models.networks.network")
gradient = pytest.importorskip("models.networks.gradient")
checkpoint = pytest.importorskip("models.networks.checkpoint")

every_module = pytest.mark.parametrize("name", sorted(modules.MADE))
few_examples = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture(scope="module")
def data():
    return modules.planted()


@pytest.fixture(scope="module")
def usual(data):
    """Each module after a training with one thread and all the memory it wants."""
    return {name: modules.content(modules.trained(name, data)) for name in modules.MADE}


class Killed(BaseException):
    pass


def dies_at(patch, step):
    """The process ends before this update is computed."""
    original = gradient.BatchGradient.of

    def dying(self, batch, at):
        if at == step:
            raise Killed
        return original(self, batch, at)

    patch.setattr(gradient.BatchGradient, "of", dying)


def lacks_memory(patch, *, at, times, kind=MemoryError):
    """The piece with this number, counted over the whole training, finds no memory this many times."""
    seen, original = [], gradient.BatchGradient._computed

    def lacking(self, own, piece):
        seen.append(piece)
        if at <= len(seen) < at + times:
            raise kind("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return original(self, own, piece)

    patch.setattr(gradient.BatchGradient, "_computed", lacking)


@every_module
def test_any_module_learns(name, data):
    recipe = modules.Recipe(updates=72, batch_size=300, learning_rate=0.02, weight_decay=0.01)
    module = modules.trained(name, data, recipe=recipe)
    assert not module.training
    x, y, offsets = data
    wide = (torch.from_numpy(x).float() - 2) * np.sqrt(0.5)
    with torch.no_grad():
        values = module(wide, torch.from_numpy(offsets)) if name == "eras" else module(wide)
    known = ~np.isnan(y)
    assert np.corrcoef(values.numpy()[known], y[known])[0, 1] > 0.3


@every_module
@few_examples
@given(
    threads=st.integers(1, 5),
    batch_rows=st.sampled_from([256, 300, 512, 1024, 16_384]),
    rows_in_memory=st.integers(50, 5_000),
    low_memory=st.booleans(),
)
@example(threads=2, batch_rows=512, rows_in_memory=333, low_memory=True)  # fewer in flight than a batch has pieces
@example(threads=5, batch_rows=16_384, rows_in_memory=5_000, low_memory=False)  # all of a batch at once
def test_threads_batch_rows_and_memory_do_not_change_a_byte(name, data, usual, **plan):
    assert modules.content(modules.trained(name, data, **plan)) == usual[name]


@every_module
@few_examples
@given(steps=st.lists(st.integers(1, 8), min_size=1, max_size=3), seconds=st.sampled_from([0.0, 60.0]))
def test_a_training_killed_at_any_update_ends_in_the_same_bytes(name, data, usual, tmp_path_factory, steps, seconds):
    folder = tmp_path_factory.mktemp("checkpoints")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "SECONDS_BETWEEN", seconds)
        for step in sorted(steps):
            with patch.context() as inner:
                dies_at(inner, step)
                with pytest.raises(Killed):
                    modules.trained(name, data, checkpoints=folder, threads=2)
        assert modules.content(modules.trained(name, data, checkpoints=folder)) == usual[name]


def test_within_an_epoch_a_checkpoint_is_taken_when_the_last_is_old(data, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    with monkeypatch.context() as patch:
        dies_at(patch, 5)
        with pytest.raises(Killed):
            modules.trained("plain", data, checkpoints=tmp_path)
    dies_at(monkeypatch, 4)  # it has got beyond this
    modules.trained("plain", data, checkpoints=tmp_path)


@every_module
@few_examples
@given(at=st.integers(1, 20), times=st.integers(1, 2), threads=st.integers(2, 5))
def test_a_lack_of_memory_halves_the_rows_in_flight_and_leaves_the_bytes(name, data, usual, at, times, threads):
    with pytest.MonkeyPatch.context() as patch:
        lacks_memory(patch, at=at, times=1 if threads < 4 else times)
        assert modules.content(modules.trained(name, data, threads=threads)) == usual[name]


@pytest.mark.parametrize("kind", [MemoryError, RuntimeError])
def test_a_lack_of_memory_with_one_piece_left_is_for_the_ladder(data, monkeypatch, kind):
    lacks_memory(monkeypatch, at=3, times=99, kind=kind)
    with pytest.raises(kind) as raised:
        modules.trained("plain", data, threads=4)
    assert classify(raised.value) == "oom"


def test_an_error_of_another_kind_is_not_taken_for_a_lack_of_memory(data, monkeypatch):
    calls = []

    def wrong(self, own, piece):
        calls.append(piece)
        raise ValueError("shapes do not fit")

    monkeypatch.setattr(gradient.BatchGradient, "_computed", wrong)
    with pytest.raises(ValueError, match="shapes"):
        modules.trained("plain", data)
    assert len(calls) == 1


def test_what_was_drawn_before_does_not_change_a_training_nor_the_other_way_round(data, usual):
    torch.manual_seed(99)
    torch.rand(7)
    before = torch.get_rng_state()
    assert modules.content(modules.trained("plain", data)) == usual["plain"]
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_gives_another_module(data, usual):
    assert modules.content(modules.trained("plain", data, seed=6)) != usual["plain"]


def test_a_module_that_draws_from_the_global_generator_is_named(data, monkeypatch):
    monkeypatch.setitem(modules.MADE, "global", modules.GlobalNoise)
    with pytest.raises(network.UnseededRandomnessError, match="GlobalNoise draws from torch's global generator"):
        modules.trained("global", data)


def test_a_column_where_a_number_was_expected_is_named(data, monkeypatch):
    """torch would compare every prediction with every target, and train on without a word."""
    monkeypatch.setitem(modules.MADE, "column", lambda: torch.nn.Linear(modules.FEATURES, 1))
    with pytest.raises(network.OutputShapeError, match=r"\[256, 1\] for \[256\] targets"):
        modules.trained("column", data)


@pytest.mark.parametrize("name", ["plain", "eras"])
def test_nan_and_divergence_are_named(name, data):
    recipe = modules.Recipe(updates=400, batch_size=200, learning_rate=1e30, weight_decay=0.0)
    with pytest.raises(StageNaN, match=f"of {name} is (nan|inf) at update"):
        modules.trained(name, data, recipe=recipe)
    recipe = modules.Recipe(updates=600, batch_size=200, learning_rate=10.0, weight_decay=0.0)
    with pytest.raises(StageDiverged, match=f"the loss of {name} is"):
        modules.trained(name, data, recipe=recipe)


def test_progress_counts_the_updates_to_the_last(data):
    seen = []
    modules.trained("plain", data, progress=lambda *at: seen.append(at))
    assert seen[-1] == (9, 9, "updates")
