"""Blend the members' out-of-fold predictions, neutralise the blend, and lay the ensemble out as one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prefect import task

from eraflow.data.catalog import UnknownFeatureSetError
from eraflow.data.coverage import META_MODEL
from eraflow.data.eras import target_purge
from eraflow.errors import SettingsError
from eraflow.machine.estimate import Need
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.scoring.neutralise import Neutralisation
from eraflow.scoring.payout import Payout
from eraflow.settings.features import in_short
from models.ensembles.blend import WEIGHTS
from models.ensembles.blends import find_blend
from models.ensembles.job import BlendJob, Learning, ScoredBlends
from models.ensembles.weighing import Weighing
from tasks.features import Features
from tasks.needs import blend_need
from tasks.pages.weightspage import show_weights
from tasks.refresh import Data
from tasks.run import Run
from tasks.stage import STAGE_TASK, run_stage


def chosen_neutralisation(run: Run, data: Data) -> Neutralisation:
    """What the settings ask for; called before any training, which a wrong set must not cost.

    Raises:
        UnknownFeatureSetError: features.json has no such set.
        SettingsError: the set has features that the run does not read.
    """
    asked, used = run.settings.blend, data.contract.features
    if not asked.neutralise_features:
        return Neutralisation(asked.neutralise, used)
    sets = data.catalog.sets
    if asked.neutralise_features not in sets:
        raise UnknownFeatureSetError(
            f"features.json has no set {asked.neutralise_features!r}; it has {', '.join(sets)}",
            "set blend.neutralise_features to one of these, or leave it empty for all features of the run",
        )
    wanted = set(sets[asked.neutralise_features])
    absent = sorted(wanted - set(used))
    if absent:
        raise SettingsError(
            f"blend.neutralise_features={asked.neutralise_features} has {len(absent)} features, such as {absent[0]}, "
            f"that are not among the {len(used)} of data.features={in_short(run.settings.data.features)}",
            "name a set within data.features, or leave it empty for all features of the run",
        )
    return Neutralisation(asked.neutralise, tuple(name for name in used if name in wanted))


@task(name="blend", task_run_name="blend", **STAGE_TASK)
def blend(
    run: Run, features: Features, members: Sequence[StageRecord], neutralisation: Neutralisation, payout: Payout
) -> StageRecord:
    """The blend's out-of-fold predictions and the ensemble folder that predicts live."""
    names = {record.name.removeprefix("train-"): record for record in members}
    job = BlendJob(
        method=run.settings.blend.method,
        target=features.contract.target,
        horizon_days=features.contract.horizon_days,
        data_version=run.settings.data.version,
        neutralise=neutralisation if neutralisation.proportion > 0 else None,
        learning=_learning(run, features, payout),
        without=_without(features, payout) if len(names) > 1 else None,
        members={name: record.path for name, record in names.items()},
        store=features.store,
    )
    inputs = {name: record.signature for name, record in names.items()}
    need = _need(members, neutralisation)
    record = run_stage(run, Work("blend", "models.ensembles.blend:blend_members", job, inputs, need))
    if "learnt" in record.metrics:
        show_weights(record.path / WEIGHTS, record.metrics)
    return record


def _learning(run: Run, features: Features, payout: Payout) -> Learning | None:
    """What a method that learns its weights needs; None for one that does not."""
    asked, contract = run.settings.blend, features.contract
    if find_blend(asked.method).learns is None:
        return None
    return Learning(
        meta_model=META_MODEL if contract.meta_model_eras else None,
        benchmark=contract.benchmark,
        purge_weeks=target_purge(contract.target, features.windows[0].purge_weeks),
        confidence=run.settings.gate.confidence,
        weighing=Weighing(payout, asked.half_life, asked.equal_share, asked.most_weight, asked.warm_up),
    )


def _without(features: Features, payout: Payout) -> ScoredBlends:
    """By what the worth of each member is told."""
    contract = features.contract
    return ScoredBlends(
        meta_model=META_MODEL if contract.meta_model_eras else None, benchmark=contract.benchmark, payout=payout
    )


def _need(members: Sequence[StageRecord], neutralisation: Neutralisation) -> Need:
    """With the features of one era, where the blend is neutralised."""
    need = blend_need(members)
    if neutralisation.proportion == 0:
        return need
    eras = max(int(record.metrics.get("eras", 1)) for record in members)
    return replace(need, columns=len(neutralisation.features), eras=eras)
