"""A killed training goes on to the same bytes, and begins anew where the plan asks for it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from eraflow.disk.digest import file_sha256
from eraflow.machine.instability import TrainingMonitor
from models.training.train import train_model
from tests.models.conftest import member, training
from tests.models.networks.killedfits import Killed, dies_at, dies_in_fit, updates_seen
from tests.models.networks.mlpfits import UPDATES, digest, fit
from tests.models.planted import PLAN


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
    assert seen
    assert seen == list(range(40, 40 + len(seen)))  # killed after the fortieth update of the final fit
    told = [f"learning-{fit}.csv" for fit in (0, 1, "live")]
    for name in ("oof.parquet", "model/model.json", "model/weights.npy", *told):
        assert file_sha256(out / name) == file_sha256(plain / name)
    assert not (out / "checkpoints").exists()


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
