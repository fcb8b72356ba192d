"""What every network promises, each in one test for all of them; a new kind is taken in by its row and `fast`."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from eraflow.kinds import KINDS
from eraflow.machine.failures import StageNaN
from models.base.wholeeras import FitEras, fit_in_eras, predict_in_eras
from models.kinds import load_model
from models.networks.weightfile import to_bytes
from tests.models.networks.fitapart import ERAS, ROWS, UPDATES, fit_apart, model_of
from tests.models.planted import PLAN, plant

torch = pytest.importorskip("torch")
BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient
DIGEST_BYTES = pytest.importorskip("models.networks.checkpoint").DIGEST_BYTES
seeds = pytest.importorskip("models.networks.seeds")

NETWORKS = [kind.name for kind in KINDS.values() if kind.neural]
ACROSS = "transformer across=era"
every_network = pytest.mark.parametrize("name", [*NETWORKS, ACROSS])
LIBRARIES = {"tabm": "tabm", "transformer": "transformers", ACROSS: "transformers"}
PRELOADED = ["tests.models.networks.fitapart", "torch._dynamo", "transformers.models.bert.modeling_bert"]
"""What each child would have to import anew."""
REFERENCES = {"gatv2": "torch_geometric", "gin": "torch_geometric"}


@pytest.fixture(autouse=True)
def installed(name):
    """What the network is trained with beside torch is there, or its tests are skipped."""
    pytest.importorskip(LIBRARIES.get(name, "torch"))


def fit(name, y=None, plan=PLAN, checkpoints=None, seed=3, **params):
    planted = plant(eras=ERAS, rows=ROWS)
    model = model_of(name, checkpoints, **params)
    eras = FitEras(np.arange(0, ERAS * ROWS + 1, ROWS), np.arange(1, ERAS + 1), 4)
    fit_in_eras(model, planted.x, planted.y if y is None else y, eras, plan=plan, seed=seed)
    return model


def predicted(model, planted):
    return predict_in_eras(model, planted.x, np.arange(0, len(planted.x) + 1, ROWS), plan=PLAN)


def digest(model):
    return hashlib.sha256(to_bytes(model._all_weights())).hexdigest()


@pytest.fixture(scope="module")
def whole():
    """A training of each that nothing has disturbed, made once."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = fit(name)
        return made[name]

    return of


@every_network
@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(name, whole, tmp_path):
    """A real process, SIGKILL: three times, each a chance number of updates further on."""
    apart = multiprocessing.get_context("forkserver")
    apart.set_forkserver_preload(PRELOADED)
    chance, result = random.Random(name), tmp_path / "digest"
    begun = []
    for attempt in range(4):
        mine, theirs = apart.Pipe(duplex=False)
        child = apart.Process(target=fit_apart, args=(name, tmp_path / "checkpoints", result, theirs))
        child.start()
        theirs.close()
        begun.append(mine.recv())
        if attempt < 3:
            last = begun[-1] + chance.randrange(9, 18)  # past the next checkpoint
            while mine.recv() < last:
                pass
            time.sleep(chance.random() * 0.02)
            os.kill(child.pid, signal.SIGKILL)
        else:
            while mine.poll(60) and mine.recv() < UPDATES - 1:
                pass
        child.join(120)
    assert child.exitcode == 0
    assert result.read_text() == digest(whole(name))
    assert begun == sorted(begun)
    assert begun[-1] > 0  # it did go on


@every_network
def test_want_of_memory_changes_no_bit(name, whole, monkeypatch):
    computed, refused = BatchGradient._computed, []

    def short(self, own, piece):
        if self.in_flight.pieces > 1:
            refused.append(piece)
            raise MemoryError
        return computed(self, own, piece)

    monkeypatch.setattr(BatchGradient, "_computed", short)
    assert digest(fit(name, plan=replace(PLAN, threads=2))) == digest(whole(name))
    assert refused


@every_network
def test_nan_is_named_before_it_reaches_weights_or_checkpoints(name, tmp_path, monkeypatch):
    of = BatchGradient.of

    def spoilt(self, batch, at):
        sums = of(self, batch, at)
        if at == UPDATES // 2:
            self._parameters[0].grad.view(-1)[0] = float("nan")
        return sums

    monkeypatch.setattr(BatchGradient, "of", spoilt)
    with pytest.raises(StageNaN, match=rf"the gradient norm of \w+ is nan at update {UPDATES // 2}"):
        fit(name, checkpoints=tmp_path)
    for slot in ("last.pt", "best.pt"):
        kept = torch.load(io.BytesIO((tmp_path / slot).read_bytes()[DIGEST_BYTES:]), weights_only=True)["module"]
        assert all(torch.isfinite(weight).all() for weight in kept.values())


@every_network
def test_a_rate_that_ruins_it_is_a_named_failure(name):
    with pytest.raises(StageNaN):
        fit(name, learning_rate=1e30)


@every_network
def test_numpy_says_what_the_trained_module_says(name, monkeypatch):
    trained, train_seeds = [], seeds.train_seeds

    def kept(network, *args, **more):
        for one in train_seeds(network, *args, **more):
            trained.append((network, one.module))
            yield one

    monkeypatch.setattr(seeds, "train_seeds", kept)
    model, fresh = fit(name), plant(eras=6, rows=ROWS, seed=5)
    ((network, module),) = trained
    x = (torch.from_numpy(fresh.x).float() - 2) * 0.5**0.5
    offsets = torch.arange(0, len(x) + 1, ROWS)
    with torch.no_grad():
        output = module(x, offsets) if network.takes_offsets else module(x)
        found = network.loss(output, piece_of(x, offsets)).predictions.double().reshape(len(x), -1).mean(dim=1)
    numpys = (predicted(model, fresh) - model._centre) / model._scale
    assert found.std() > 0.05
    np.testing.assert_allclose(numpys, found.numpy(), atol=1e-5)


def piece_of(x, offsets):
    """Any targets: the losses tell which part of the output is the prediction."""
    from models.networks.network import Piece

    return Piece(torch.zeros(len(x)), offsets)


@every_network
def test_shuffled_targets_give_nothing(name, whole):
    """What one shuffle teaches is a direction by chance: the mean of four counts."""
    planted, fresh = plant(eras=ERAS, rows=ROWS), plant(eras=20, rows=ROWS, seed=5)

    def score(model):
        return np.corrcoef(predicted(model, fresh), fresh.y)[0, 1]

    scores = [score(fit(name, planted.shuffled_within_eras(seed).y, seed=seed)) for seed in range(4)]
    assert abs(np.mean(scores)) < 0.15
    assert score(whole(name)) > 0.25


@every_network
def test_saved_weights_predict_without_torch_and_the_library_of_the_kind(name, whole, tmp_path):
    model, fresh = whole(name), plant(eras=3, rows=ROWS, seed=5)
    model.save(tmp_path)
    np.save(tmp_path / "x.npy", fresh.x)
    hidden = ("torch", "scipy", LIBRARIES.get(name, "torch"), REFERENCES.get(name, "torch"))
    code = f"""
import sys, numpy as np
sys.modules.update(dict.fromkeys({hidden!r}))
from pathlib import Path
from models.base.wholeeras import predict_in_eras
from models.kinds import load_model
folder = Path({str(tmp_path)!r})
x = np.load(folder / "x.npy")
model = load_model(folder)
sys.stdout.buffer.write(predict_in_eras(model, x, np.arange(0, len(x) + 1, {ROWS})).tobytes())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert told == predicted(model, fresh).tobytes()


@every_network
def test_it_takes_what_the_training_offers(name, tmp_path):
    """Two networks, stopped by eras that are kept back, on whole eras with their correlation in the loss."""
    fresh = plant(eras=12, rows=ROWS, seed=5)
    model = fit(name, seeds=2, correlation_share=0.5, validation_share=0.2, check_every=12)
    assert all(point.corr is not None for curve in model.curves for point in curve)
    predictions = predicted(model, fresh)
    assert np.corrcoef(predictions, fresh.y)[0, 1] > 0.2
    model.save(tmp_path)
    assert predicted(load_model(tmp_path), fresh).tobytes() == predictions.tobytes()
