"""Several targets in one network: what a row counts for, what is learnt from it, and what is shipped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.base.furthertargets import FurtherTargets
from models.base.protocol import ModelSettingsError
from models.base.rows import Columns
from models.base.wholeeras import FitEras, fit_in_eras
from models.kinds import make_model
from models.networks.eratargets import side_by_side
from models.networks.fitdata import FitData
from tests.models.networks.mlpfits import digest
from tests.models.planted import FAST_NETWORKS, PLAN, fast, plant

torch = pytest.importorskip("torch")
heads = pytest.importorskip("models.networks.furtherheads")
network = pytest.importorskip("models.networks.network")
losses = pytest.importorskip("models.networks.losses")
tabmensemble = pytest.importorskip("models.networks.tabmensemble")

LIBRARIES = {"tabm": "tabm", "transformer": "transformers"}
NAN = float("nan")


def eras_of(rows, each=100, purge=0):
    return FitEras(np.arange(0, rows + 1, each), np.arange(rows // each), purge)


def further(*columns, weights=None):
    values = np.stack(columns, axis=1).astype(np.float32)
    return FurtherTargets(values, tuple(weights or [1.0] * len(columns)))


def fit(kind, x, y, more=None, plan=PLAN, **params):
    model = make_model(kind, {**fast(kind), "updates": 12, **params})
    fit_in_eras(model, x, y, eras_of(len(x)), plan=plan, seed=3, further=more)
    return model


@pytest.mark.parametrize("kind", sorted(FAST_NETWORKS))
def test_every_network_learns_further_targets_and_ships_none_of_their_heads(kind, data):
    pytest.importorskip(LIBRARIES.get(kind, "torch"))
    x, y = data[0][:600], data[1][:600]
    alone, beside = fit(kind, x, y), fit(kind, x, y, further(y[::-1], -y, weights=[0.5, 2.0]))
    assert {name: array.shape for name, array in alone._weights.items()} == {
        name: array.shape for name, array in beside._weights.items()
    }
    assert digest(alone) != digest(beside)
    assert digest(beside) == digest(
        fit(kind, x, y, further(y[::-1], -y, weights=[0.5, 2.0]), replace(PLAN, threads=2, batch_rows=512))
    )


def test_a_transformer_across_the_era_learns_further_targets(data):
    pytest.importorskip("transformers")
    x, y = data[0][:300], data[1][:300]
    across = {"across": "era", "updates": 3}
    assert digest(fit("transformer", x, y, **across)) != digest(fit("transformer", x, y, further(-y), **across))


@pytest.mark.parametrize(("share", "margin"), [(0.0, 0.05), (0.5, 0.01)])
def test_what_a_further_target_teaches_serves_the_own_one(share, margin):
    """The own target is known in a few rows of every era; the further one, which is the same, in all."""
    planted = plant(eras=40, rows=100)
    x, y = planted.x[:3000], planted.y[:3000]
    few = np.where(np.arange(len(y)) % 25 == 0, y, np.nan)
    params = {"updates": 60, "correlation_share": share}
    models = [fit("mlp", x, few, more, **params) for more in (None, further(y, weights=[4.0]))]
    alone, beside = (np.corrcoef(one.predict(planted.x[3000:]), planted.y[3000:])[0, 1] for one in models)
    assert beside > alone + margin


def test_a_row_counts_for_each_target_that_is_known_there():
    own = np.array([1.0, NAN, 3.0, NAN, 5.0, NAN, NAN, NAN])
    other = np.array([NAN, 2.0, 4.0, NAN, 1.0, 1.0, 7.0, 8.0])
    found = side_by_side(own, other[:, None], np.array([0, 4, 6, 8]))
    assert np.allclose(found[:4, 0], [-1, NAN, 1, NAN], equal_nan=True)
    assert np.allclose(found[:4, 1], [NAN, -1, 1, NAN], equal_nan=True)
    assert np.allclose(found[4:6, 1], 0)  # all equal: nothing to tell apart
    assert np.isnan(found[6:]).all()  # an era without any own target is not learnt from
    x = np.zeros((8, 2), dtype=np.int8)
    eras = FitEras(np.array([0, 4, 6, 8]), np.arange(3), 0)
    learnt = FitData.of(
        x, own, eras, plan=PLAN, columns=Columns(), validation_share=0.0, who="mlp", further=further(other)
    )
    assert learnt.rows.known.tolist() == [True, True, True, False, True, True, False, False]
    assert learnt.known_eras.tolist() == [0, 3, 5]
    assert learnt.centre == pytest.approx(3.0)  # of the own target alone
    assert np.array_equal(learnt.targets, found[[0, 1, 2, 4, 5]], equal_nan=True)
    everywhere = np.where(learnt.rows.known[:, None], found, NAN)
    assert np.array_equal(learnt.targets_of_all_rows(), everywhere, equal_nan=True)


def test_eras_that_are_kept_back_teach_no_target():
    x, y = np.zeros((2000, 2), dtype=np.int8), np.tile([0.0, 1.0], 1000)
    learnt = FitData.of(
        x, y, eras_of(2000, purge=2), plan=PLAN, columns=Columns(), validation_share=0.3, who="mlp", further=further(y)
    )  # fmt: skip
    assert learnt.kept is not None
    assert learnt.rows.n_rows == 1200  # 20 eras less 6 that are kept back and 2 before them
    assert not learnt.rows.known[1200:].any()


@pytest.mark.parametrize("several", [False, True])
def test_the_loss_is_the_sum_of_squares_with_the_weights(several):
    rng = np.random.default_rng(0)
    shape = (6, 3) if several else (6,)
    own, others = rng.normal(size=(*shape, 1) if several else shape), rng.normal(size=(*shape, 2))
    targets = rng.normal(size=(6, 3))
    targets[[0, 3], 0], targets[[1, 2], 1], targets[4, 2] = NAN, NAN, NAN
    base = tabmensemble.MeanOfSquaredErrors() if several else losses.SquaredError()
    judged = heads.WithFurtherTargets(base, (0.5, 3.0))(
        (torch.tensor(own), torch.tensor(others)), network.Piece(torch.tensor(targets, dtype=torch.float32), None)
    )
    total = 0.0
    for row in range(6):
        mine = own[row].ravel()
        total += np.nan_to_num(np.mean((mine - targets[row, 0]) ** 2))
        for place, weight in ((0, 0.5), (1, 3.0)):
            guesses = others[row].reshape(-1, 2)[:, place]
            total += weight * np.nan_to_num(np.mean((guesses - targets[row, 1 + place]) ** 2))
    assert float(judged.total) == pytest.approx(total, rel=1e-5)
    assert judged.count == 4
    assert len(judged.predictions) == 4


def test_a_network_that_does_not_say_its_last_layer_learns_one_target():
    plain = network.Network(lambda: torch.nn.Linear(2, 1), losses.SquaredError())
    with pytest.raises(ModelSettingsError, match="one target"):
        heads.with_further_targets(plain, (1.0,))
