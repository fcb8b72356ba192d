"""One small trained week, made once for the tests of train, blend, ensemble and predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eraflow.data.membereras import Member
from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from models.ensembles.blend import blend_members
from models.ensembles.job import BlendJob
from models.training.job import ImportanceSample, KeptBins, KeptFolds, TrainJob
from models.training.train import train_model
from tests.models.planted import PLAN, TARGET, Planted, fast, plant, windows_of


@dataclass(frozen=True)
class Week:
    planted: Planted
    store: EraStore
    folders: dict[str, str]  # member -> folder of its training stage
    metrics: dict[str, dict[str, Any]]
    blend: Path
    blend_metrics: dict[str, Any]

    @property
    def ensemble(self) -> Path:
        return self.blend / "ensemble"


def member(kind: str, **params: Any) -> dict[str, Any]:
    return {"kind": kind, "name": kind, "params": {**fast(kind), **params}}


def training(
    store: EraStore, out: Path, model: dict[str, Any], *, plan: Plan = PLAN, seed: int = 7,
    bins: KeptBins | None = None, importance: ImportanceSample | None = None, folds: KeptFolds | None = None,
    **over: Any,
) -> dict[str, Any]:  # fmt: skip
    """The arguments of `train_model` for a store of the planted data, the last eight eras kept as unseen.

    `over` are fields of the member.
    """
    usual = {"target": TARGET, "windows": windows_of(store.eras, first=30, folds=2), "final_eras": store.eras}
    member = Member(**model, **{**usual, **over})
    job = TrainJob(member=member, seed=seed, store=store.path, bins=bins, importance=importance, folds=folds)
    return {"job": job, "out": out, "plan": plan}


def blending(store: EraStore, out: Path, folders: dict[str, str], **over: Any) -> dict[str, Any]:
    usual = {"method": "rank-gaussian", "target": TARGET, "horizon_days": 20, "data_version": "v5.3"}
    members = {name: Path(folder) for name, folder in folders.items()}
    return {"job": BlendJob(**{**usual, **over}, members=members, store=store.path), "out": out, "plan": PLAN}


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    folder = tmp_path_factory.mktemp("week")
    planted = plant()
    store = planted.store(folder / "store")
    folders, metrics = {}, {}
    for kind in ("lightgbm", "xgboost", "catboost"):
        out = folder / f"train-{kind}"
        metrics[kind] = train_model(**training(store, out, member(kind)))
        folders[kind] = str(out)
    blend_metrics = blend_members(**blending(store, folder / "blend", folders))
    return Week(planted, store, folders, metrics, folder / "blend", blend_metrics)
