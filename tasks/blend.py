"""Blend the members' out-of-fold predictions, neutralise the blend, and lay the ensemble out as one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prefect import task

from eraflow.data.catalog import UnknownFeatureSetError
from eraflow.errors import SettingsError
from eraflow.machine.estimate import Need
from eraflow.runs.attempt import Work
from eraflow.runs.stage import StageRecord
from eraflow.scoring.neutralise import Neutralisation
from eraflow.settings.features import in_short
from models.ensembles.job import BlendJob
from tasks.features import Features
from tasks.needs import blend_need
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
def blend(run: Run, features: Features, members: Sequence[StageRecord], neutralisation: Neutralisation) -> StageRecord:
    """The blend's out-of-fold predictions and the ensemble folder that predicts live."""
    names = {record.name.removeprefix("train-"): record for record in members}
    job = BlendJob(
        method=run.settings.blend.method,
        target=features.contract.target,
        horizon_days=features.contract.horizon_days,
        data_version=run.settings.data.version,
        neutralise=neutralisation if neutralisation.proportion > 0 else None,
        members={name: record.path for name, record in names.items()},
        store=features.store,
    )
    inputs = {name: record.signature for name, record in names.items()}
    need = _need(members, neutralisation)
    return run_stage(run, Work("blend", "models.ensembles.blend:blend_members", job, inputs, need))


def _need(members: Sequence[StageRecord], neutralisation: Neutralisation) -> Need:
    """With the features of one era, where the blend is neutralised."""
    need = blend_need(members)
    if neutralisation.proportion == 0:
        return need
    eras = max(int(record.metrics.get("eras", 1)) for record in members)
    return replace(need, columns=len(neutralisation.features), eras=eras)
