"""The mlp: resumed to the same bytes, walked down the ladder when it goes wrong, predicted without torch."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.machine.failures import StageError, StageNaN, StageStalled
from eraflow.machine.instability import TrainingMonitor
from eraflow.machine.plan import Plan, next_plan
from models.base.libraries import MissingLibraryError
from models.base.protocol import ModelSettingsError
from models.base.rows import TrainingRows
from models.kinds import load_model, make_model
from models.networks.weightfile import to_bytes
from models.training.train import train_model
from tests.models.conftest import member, training
from tests.models.planted import FAST_MLP, PLAN, plant

torch = pytest.importorskip("torch")
BatchGradient = pytest.importorskip("models.networks.gradient").BatchGradient
DIGEST_BYTES = pytest.importorskip("models.networks.checkpoint").DIGEST_BYTES
loop = pytest.importorskip("models.networks.loop")
perceptron = pytest.importorskip("models.networks.perceptron").perceptron


@pytest.fixture(scope="module")
def data():
    planted = plant(eras=20, rows=100)
    return planted.x, planted.y


def mlp(checkpoints=None, **params):
    return make_model("mlp", {**FAST_MLP, **params}, checkpoints=checkpoints)


def digest(model):
    return hashlib.sha256(to_bytes(model._weights)).hexdigest()


def fit(data, plan=PLAN, checkpoints=None, progress=None, **params):
    model = mlp(checkpoints, **params)
    model.fit(*data, plan=plan, seed=3, progress=progress)
    return model


class Killed(BaseException):
    pass


UPDATES = 8  # of an epoch: 2,000 rows, 256 at a time


def dies_at(monkeypatch, step):
    """A training that ends, as by a kill, in the middle of an update."""
    original = BatchGradient.of

    def dying(self, batch, at):
        if at == step:
            raise Killed
        return original(self, batch, at)

    monkeypatch.setattr(BatchGradient, "of", dying)


def updates_seen(monkeypatch):
    """The numbers of the updates that are computed from now on."""
    seen, original = [], BatchGradient.of
    monkeypatch.setattr(BatchGradient, "of", lambda self, batch, at: (seen.append(at), original(self, batch, at))[1])
    return seen


@pytest.mark.parametrize("epochs", [0, 1, 7, 11])
def test_a_resumed_training_gives_the_bytes_of_an_uninterrupted_one(data, tmp_path, monkeypatch, epochs):
    expected = digest(fit(data))
    with monkeypatch.context() as patch:
        dies_at(patch, epochs * UPDATES + 4)
        with pytest.raises(Killed):
            fit(data, checkpoints=tmp_path)
    seen = updates_seen(monkeypatch)
    # By then the plan may be leaner: the bytes are the same.
    assert digest(fit(data, replace(PLAN, threads=2, batch_rows=512), tmp_path)) == expected
    assert seen == list(range(epochs * UPDATES, 12 * UPDATES))


@pytest.mark.parametrize(
    ("change", "begins_anew"),
    [
        ({"rate_factor": 0.3, "clip_norm": 1.0}, True),  # after NaN or divergence: the weights may be spoilt
        ({"clip_norm": 0.5}, True),
        ({"batch_rows": 256, "rows_in_memory": 8192, "low_memory": True}, False),
        ({"precision": "bfloat16"}, False),
        ({"work_factor": 0.5}, False),
    ],
)
def test_which_plans_go_on_and_which_begin_anew(data, tmp_path, monkeypatch, change, begins_anew):
    with monkeypatch.context() as patch:
        dies_at(patch, 4 * UPDATES)
        with pytest.raises(Killed):
            fit(data, checkpoints=tmp_path)
    seen = updates_seen(monkeypatch)
    fit(data, replace(PLAN, **change), tmp_path)
    assert seen[0] == (0 if begins_anew else 4 * UPDATES)


def test_overtime_with_all_the_work_of_a_smaller_plan_done_ends_at_once(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        dies_at(patch, 8 * UPDATES)
        with pytest.raises(Killed):
            fit(data, checkpoints=tmp_path)
    seen = updates_seen(monkeypatch)
    model = fit(data, replace(PLAN, work_factor=0.25), tmp_path)
    assert seen == []
    assert model.trained_with["updates"] == 64
    assert np.isfinite(model.predict(data[0])).all()


def test_the_schedule_of_a_smaller_plan_is_its_own(data, tmp_path, monkeypatch):
    """A training that goes on with less work ends at a rate of zero, as one that had begun with it."""
    with monkeypatch.context() as patch:
        dies_at(patch, 4 * UPDATES)
        with pytest.raises(Killed):
            fit(data, checkpoints=tmp_path)
    rates, original = [], TrainingMonitor.update
    monkeypatch.setattr(
        TrainingMonitor, "update", lambda *args, **kw: (rates.append(kw["rate"]), original(*args, **kw))
    )
    fit(data, replace(PLAN, work_factor=0.5), tmp_path)
    resumed = rates.copy()
    rates.clear()
    fit(data, replace(PLAN, work_factor=0.5))
    assert resumed == rates[4 * UPDATES :]
    assert rates[-1] < 1e-4 < max(rates)


def test_predictions_do_not_depend_on_neighbours_tiles_or_threads(data):
    model = fit(data)
    whole = model.predict(data[0])
    for start, stop in ((0, 1), (3, 700), (255, 258), (1999, 2000)):
        part = model.predict(data[0][start:stop], plan=Plan(threads=3))
        assert part.tobytes() == whole[start:stop].tobytes()


def test_prediction_is_the_trained_function_and_needs_no_torch(data, tmp_path, monkeypatch):
    model = fit(data, dropout=0.0)
    model.save(tmp_path)
    x = (torch.from_numpy(data[0]).float() - 2) * np.sqrt(0.5)
    module = perceptron(12, [32, 16], 0.0)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in model._weights.items()})
    with torch.no_grad():
        expected = module(x).numpy() * model._scale + model._centre
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    np.testing.assert_allclose(load_model(tmp_path).predict(data[0]), expected, atol=1e-5)


def test_without_torch_the_error_names_the_extra(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibraryError, match=r"missing_library: .*eraflow\[networks\]"):
        fit(data)


def test_making_and_loading_a_model_imports_no_torch():
    assert "torch" in sys.modules  # else the next line shows nothing
    code = "from models.kinds import make_model; make_model('mlp'); import sys; exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"hiden": [3]}, "hiden"),
        ({"n_estimators": 3}, "n_estimators"),
        ({"hidden": []}, "hidden"),
        ({"hidden": [0]}, "hidden"),
        ({"hidden": 64}, "hidden"),
        ({"dropout": 1.0}, "dropout"),
        ({"updates": 0}, "updates"),
        ({"updates": True}, "updates"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"batch_size": 2.5}, "batch_size"),
    ],
)
def test_a_wrong_parameter_is_named_before_the_work(params, named):
    with pytest.raises(ModelSettingsError, match=named):
        make_model("mlp", params)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_lower_precision_learns_nearly_the_same(data, precision):
    usual, lower = fit(data), fit(data, replace(PLAN, precision=precision))
    assert digest(usual) != digest(lower)
    assert np.corrcoef(usual.predict(data[0]), lower.predict(data[0]))[0, 1] > 0.95
    assert lower.trained_with["precision"] == precision


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


def test_the_stage_goes_on_in_the_middle_of_a_fold(week, tmp_path, monkeypatch):
    """Killed in an epoch of the second fold, of the final fit: the same bytes, and no epoch done twice."""
    plain, out = tmp_path / "plain", tmp_path / "out"
    train_model(**training(week.store, plain, member("mlp")))
    for fit_number in (1, 2):
        with monkeypatch.context() as patch:
            dies_in_fit(patch, fit_number)
            with pytest.raises(Killed):
                train_model(**training(week.store, out, member("mlp")))
        assert len(list((out / "checkpoints").iterdir())) == 1
    seen = updates_seen(monkeypatch)
    metrics = train_model(**training(week.store, out, member("mlp")))
    assert metrics["folds_reused"] == 2
    assert metrics["fold_plans"] == ["as asked", "as asked"]
    assert seen == list(range(5 * len(seen) // 7, 12 * len(seen) // 7))
    told = [f"learning-{fit}.csv" for fit in (0, 1, "live")]
    for name in ("oof.parquet", "model/model.json", "model/weights.npy", *told):
        assert file_sha256(out / name) == file_sha256(plain / name)
    assert not (out / "checkpoints").exists()


def dies_in_fit(monkeypatch, number):
    """Killed after forty updates of the fit at this position, wherever it began."""
    from models.training.trainer import Trainer

    fit_one, end_interval = Trainer.fit, loop._Training._end_interval
    at = []

    def fits(self, eras, position, *others):
        at.append(position)
        return fit_one(self, eras, position, *others)

    def dying(self):
        end_interval(self)
        if at[-1] == number and self._step == 40:
            raise Killed

    monkeypatch.setattr(Trainer, "fit", fits)
    monkeypatch.setattr(loop._Training, "_end_interval", dying)


def test_checkpoints_of_other_work_are_not_taken(week, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        dies_in_fit(patch, 0)
        with pytest.raises(Killed):
            train_model(**training(week.store, tmp_path, member("mlp")))
    seen = updates_seen(monkeypatch)
    train_model(**training(week.store, tmp_path, member("mlp"), seed=8))
    assert seen.count(0) == 3


def test_folds_made_under_different_plans_are_told(week, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        dies_in_fit(patch, 1)
        with pytest.raises(Killed):
            train_model(**training(week.store, tmp_path, member("mlp")))
    plan = replace(PLAN, rate_factor=0.3, clip_norm=1.0)
    metrics = train_model(**training(week.store, tmp_path, member("mlp"), plan=plan))
    assert metrics["fold_plans"] == ["as asked", "rate_factor 0.3, clip_norm 1.0"]
    assert metrics["final_plan"] == "rate_factor 0.3, clip_norm 1.0"
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    assert described["trained_with"]["rate_factor"] == 0.3


def test_rows_are_taken_in_order_of_their_numbers():
    x = np.arange(40, dtype=np.int8).reshape(20, 2)
    y = np.where(np.arange(20) % 3, 1.0, np.nan)
    part = TrainingRows(x, y, rows_in_memory=6)
    np.testing.assert_array_equal(part.take(np.array([0, 2, 5])), x[~np.isnan(y)][[0, 2, 5]])
    whole = TrainingRows(x, np.ones(20), rows_in_memory=6)
    np.testing.assert_array_equal(whole.take(np.array([1, 19])), x[[1, 19]])
