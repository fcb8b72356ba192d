"""Proof 2 of "nothing kills it": under a memory ceiling below its need a learner walks down the ladder and finishes.

Each learner is trained in a child without a ceiling first, which gives its need and its predictions; then under a
ceiling below that need, plan after plan as the ladder says. The predictions must be the same: exactly, because none
of these plans changes what is learnt (the tolerance of the issue, "within noise", is zero here).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eraflow.data.membereras import Member
from eraflow.machine.failures import StageError
from eraflow.machine.isolate import run_isolated
from eraflow.machine.job import as_json
from eraflow.machine.ledger import Ledger
from eraflow.machine.plan import Plan, next_plan
from eraflow.runs import stage
from eraflow.runs.attempt import StageExhaustedError, Work, attempt_stage
from eraflow.scoring.metrics import era_corr
from eraflow.settings.machine import MachineSettings
from models.base.predictions import read_out_of_fold
from models.training.job import TrainJob
from tests.models.planted import TARGET, plant, windows_of

TARGET_FUNCTION = "models.training.train:train_model"
# What a plan can save differs. XGBoost keeps its bins on disk (60 of 217 MiB here), CatBoost its columns (26 of 193),
# the mlp has fewer pieces of a batch at work (100 of 600). LightGBM is fed so leanly from the
# start that no plan saves anything.
BOOSTER = {"n_estimators": 5, "learning_rate": 0.1, "colsample": 0.5}
WIDE = {"hidden": [2048, 2048], "updates": 1, "batch_size": 2048, "learning_rate": 0.001}
CASES = {
    "catboost": (BOOSTER, {"features": 400, "rows": 1500, "eras": 40}, Plan(threads=1), 0.93),
    "xgboost": (BOOSTER, {"features": 400, "rows": 1500, "eras": 40}, Plan(threads=1), 0.87),
    "mlp": (WIDE, {"features": 60, "rows": 70, "eras": 40}, Plan(threads=4), 0.88),
}

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="reads the kernel's memory figures"
)


def arguments(store, kind, params):
    member = Member(kind, kind, params, TARGET, windows_of(store.eras, first=30, folds=1), store.eras)
    return TrainJob(member=member, seed=7, store=store.path)


def trained(given, out, plan, ceiling_mb=None):
    out.mkdir(exist_ok=True)
    kwargs = {"job": as_json(given), "out": str(out), "plan": plan.as_dict()}
    return run_isolated(TARGET_FUNCTION, kwargs, memory_mb=ceiling_mb, timeout_s=300, log=lambda line: None, folder=out)


def walk_down(given, out, first, ceiling_mb):
    """Plan after plan, as `attempt_stage` does it, from a first plan that is too large on purpose."""
    failures = []
    while (plan := next_plan(first, failures)) is not None:
        try:
            return trained(given, out, plan, ceiling_mb), failures, plan
        except StageError as error:
            failures.append(error.kind)
    raise AssertionError(f"no plan fitted {ceiling_mb:.0f} MiB: {failures}")


def score(store, folder):
    oof = read_out_of_fold(folder / "oof.parquet")
    return float(np.mean(era_corr(oof.values, store.column(TARGET, oof.eras), oof.groups)))


@pytest.mark.parametrize("kind", CASES)
def test_a_ceiling_below_the_need_is_walked_under_and_the_predictions_are_the_same(kind, tmp_path):
    if kind == "mlp":
        pytest.importorskip("torch")
    params, size, first, share = CASES[kind]
    store = plant(**size).store(tmp_path / "store")
    given = arguments(store, kind, params)
    free = trained(given, tmp_path / "free", first)
    ceiling = share * free.peak_mb
    done, failures, plan = walk_down(given, tmp_path / "under", first, ceiling)
    print(
        f"{kind}: need {free.peak_mb:.0f} MiB, ceiling {ceiling:.0f}, after {failures} peak {done.peak_mb:.0f}, {plan}"
    )
    assert failures
    assert set(failures) == {"oom"}
    assert done.peak_mb < free.peak_mb
    usual, lean = (read_out_of_fold(tmp_path / name / "oof.parquet") for name in ("free", "under"))
    np.testing.assert_array_equal(lean.values, usual.values)
    assert score(store, tmp_path / "under") == score(store, tmp_path / "free")
    saved = [(tmp_path / name / "model" / "model.json").read_bytes() for name in ("free", "under")]
    assert saved[0] == saved[1]  # it holds the sha256 of the model


def test_lightgbm_needs_the_same_under_every_plan(tmp_path):
    """Then a ceiling below its need ends in the named failure, and the week goes on with the others."""
    store = plant(features=400, rows=1500, eras=40).store(tmp_path / "store")
    given = arguments(store, "lightgbm", BOOSTER)
    plans = [Plan(threads=1), replace(Plan(threads=1), rows_in_memory=8192, low_memory=True)]
    usual, lean = (trained(given, tmp_path / str(number), plan).peak_mb for number, plan in enumerate(plans))
    assert usual < 1.05 * lean


def test_a_ceiling_below_the_floor_ends_in_the_named_failure_that_lists_every_attempt(tmp_path):
    pytest.importorskip("torch")
    store = plant(features=30, rows=50, eras=40).store(tmp_path / "store")
    given = arguments(store, "mlp", {**WIDE, "hidden": [4096, 4096]})
    work = Work("train-mlp", TARGET_FUNCTION, given)
    machine = MachineSettings(memory_mb=300, threads=2, attempts=3)
    with pytest.raises(StageExhaustedError, match="stage_exhausted: train-mlp failed 3 times") as caught:
        until_done(work, tmp_path, machine)
    text = str(caught.value)
    assert all(f"({attempt})" in text for attempt in (1, 2, 3))
    assert text.count("memory ran out") == 3
    assert "machine.memory_mb" in text
    table = Ledger(tmp_path / "train-mlp" / stage.LEDGER).table()
    assert [row["what happened"] for row in table] == ["oom"] * 3
    assert all(row["peak MiB"] > 250 for row in table)
    assert [row["why"].partition(":")[0] for row in table] == ["", "attempt 1", "attempt 2"]
    assert stage.read_manifest(tmp_path / "train-mlp") is None


def test_an_absurd_rate_walks_down_to_one_that_learns_and_what_was_changed_is_recorded(tmp_path):
    pytest.importorskip("torch")
    store = plant(features=12, rows=100, eras=40).store(tmp_path / "store")
    params = {"hidden": [32, 16], "dropout": 0.1, "updates": 180, "batch_size": 100, "learning_rate": 30.0}
    work = Work("train-mlp", TARGET_FUNCTION, arguments(store, "mlp", params))
    record = until_done(work, tmp_path, MachineSettings(memory_mb=2_000, threads=1, attempts=8))
    rows = Ledger(tmp_path / "train-mlp" / stage.LEDGER).rows
    assert {row["kind"] for row in rows[:-1]} <= {"nan", "diverged", "stalled"}
    assert len(rows) > 1
    assert "rate_factor 1 to 0.3, clip_norm none to 1" in rows[1]["changed"]
    assert score(store, tmp_path / "train-mlp") > 0.1
    used = rows[-1]["plan"]["rate_factor"]
    assert f"rate_factor {used}" in record.metrics["final_plan"]
    described = json.loads((tmp_path / "train-mlp" / "model" / "model.json").read_text())
    assert described["trained_with"]["rate_factor"] == used


def until_done(work, folder, machine):
    for _ in range(20):
        try:
            return attempt_stage(work, folder, machine, log=lambda line: None)
        except StageError:
            continue
    raise AssertionError("it never ended")


def test_the_first_plan_of_each_case_is_not_the_leanest():
    """Else a walk would show nothing."""
    for _, _, first, _ in CASES.values():
        assert next_plan(first, ["oom"]) not in (None, replace(first, low_memory=True))
