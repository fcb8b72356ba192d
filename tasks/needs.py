"""The size of each stage's work, from what the stages before it told; the formula is in eraflow/machine/estimate.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eraflow.data.contract import Contract
from eraflow.data.footer import read_footer
from eraflow.data.membereras import Member
from eraflow.errors import EraflowError
from eraflow.kinds import find
from eraflow.machine.estimate import Need
from eraflow.runs.stage import StageRecord
from models.base.treecount import USUAL_TREES, tree_count
from models.compression.codedstore import LearnedCode
from models.kinds import held_weights, thread_bytes
from models.prediction.predictor import whole_eras_in
from tasks.features import Features

MIB = 2**20


def train_need(features: Features, member: Member, code: LearnedCode | None = None) -> Need:
    """All eras in which the member's target is resolved, for the final fit; every judged row out of fold.

    A bag needs what its largest fit does, and holds all of its models. Beside the features, a code makes columns more,
    and a file of all of them that lasts as long as a fit.
    """
    stored, eras = features.record.metrics, len(member.final_eras)
    per_era = stored["rows"] / max(stored["eras"], 1)
    columns = max(map(len, member.features)) if member.features else int(stored["features"])
    cost = find(member.kind).cost
    if code is not None:
        columns = code.size + (columns if code.use == "beside" else 0)
        cost = replace(cost, disk_value=cost.disk_value + (1 if code.use == "beside" else 0))
    fits = _params(member)
    held = max(thread_bytes(member.kind, params, per_era) for params in fits) / MIB
    if member.bag is not None:  # finished fits lie beside the model until it is saved
        cost = replace(cost, disk_tree=2 * cost.disk_tree)
    return Need(
        member.kind,
        rows=round(per_era * eras),
        columns=columns,
        eras=eras,
        judged=round(per_era * sum(len(window.test) for window in member.windows)),
        trees=sum(map(tree_count, fits)),
        weights=held_weights(member.kind, fits, columns),
        cost=replace(cost, thread_mb=cost.thread_mb + held),
    )


def _params(member: Member) -> list[dict[str, Any]]:
    """Of each fit: those of a bag are made one after the other, and what is finished is held until the last."""
    if member.bag is None:
        return [member.params]
    recipes = [recipe for recipe in member.bag.recipes for _ in range(recipe.era_step)]
    return [recipe.params for recipe in recipes] * len(member.bag.sets)


def blend_need(members: Sequence[StageRecord]) -> Need:
    """Everybody's predictions at once."""
    judged = max(int(record.metrics.get("rows", 0)) for record in members)
    return Need("blend", judged=judged, members=len(members), trees=USUAL_TREES)


def backtest_need(contract: Contract, members: Sequence[StageRecord]) -> Need:
    """Predictions of all, the blend and the benchmark, and the features of one era."""
    judged, eras = (max(int(record.metrics.get(name, 0)) for record in members) for name in ("rows", "eras"))
    return Need("backtest", columns=len(contract.features), judged=judged, eras=eras, members=len(members) + 2)


def predict_need(ensemble: Path, live: Path) -> Need | None:
    """The live rows and the ensemble's features; None for files that cannot be read: the stage names what is wrong."""
    try:
        described = json.loads((ensemble / "ensemble.json").read_text(encoding="utf-8"))
        rows, columns = read_footer(live).rows, len(described["features"])
        whole = rows if whole_eras_in(ensemble) else 0  # the live rows are one era
        return Need(
            "predict", rows=rows, columns=columns, judged=whole, members=len(described["members"]), trees=USUAL_TREES
        )
    except (OSError, ValueError, KeyError, TypeError, EraflowError):
        return None
