"""Train one model: out-of-fold on every window, then once more on everything for live."""

from __future__ import annotations

import shutil
from dataclasses import replace

from prefect import get_run_logger, task

from eraflow.data.membereras import with_params_of
from eraflow.discovery.stage import SELECTION
from eraflow.kinds import find
from eraflow.runs.attempt import Work
from eraflow.runs.codeversion import code_version, learners_of
from eraflow.runs.reclaim import BASES, FOLDS
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import CODE, TRAIN, note_lost
from eraflow.settings.models import ModelSettings
from models.networks.adaptationsettings import adapts
from models.training.job import ImportanceSample, KeptBases, KeptBins, KeptFolds, TrainJob
from models.training.selectedfeatures import read_selection
from tasks.alert import tell_people
from tasks.compress import code_job, learned_code
from tasks.features import Features
from tasks.needs import train_need
from tasks.pages.discoverypage import show_importance
from tasks.pages.graphpage import show_graph
from tasks.run import Run
from tasks.stage import STAGE_TASK, record_or_loss, run_stage
from tasks.tuning import tuned_models

CACHE = "cache/bins"
TRAINING = "models.networks.loop:train"
FOLD = "models.training.folds:make_fold"
FREE_SHARE = 4
"""What is kept takes at most this part of the free disk, what the settings allow notwithstanding."""


@task(name="train", task_run_name="train-{model.name}", **STAGE_TASK)
def train(
    run: Run,
    features: Features,
    model: ModelSettings,
    chosen: StageRecord | None = None,
    coded: StageRecord | None = None,
) -> StageRecord:
    """Out-of-fold predictions and the final model of one member, on its own target and the features chosen for it.

    With `coded`, the stage that learnt a code, beside these or on the code alone.
    """
    kind = find(model.kind)
    member = replace(with_params_of(features.members[model.name], model), source=kind.source)
    if kind.takes_groups:
        member = replace(member, groups=dict(features.groups))
    if chosen is not None and _selects(run, model):
        member = replace(member, features=read_selection(chosen.path / SELECTION, member.windows))
    job = TrainJob(
        member=member,
        seed=run.settings.seed,
        store=features.store,
        code=None if coded is None else learned_code(run, code_job(run, features), coded),
        bins=kept_bins(run, features),
        bases=kept_bases(run, model),
        folds=kept_folds(run, model),
        importance=_importance(run, features),
    )
    work = Work(
        name=f"{TRAIN}{model.name}",
        target="models.training.train:train_model",
        job=job,
        inputs={"features": features.record.signature, **({} if coded is None else {CODE: coded.signature})},
        need=train_need(features, member, job.code),
        learners=learners_of([model.kind]),
    )
    record = run_stage(run, work)
    show_importance(run.settings, model.name, record)
    show_graph(model.name, record, features.groups)
    return record


def kept_bins(run: Run, features: Features) -> KeptBins | None:
    """Where binned rows of this era store are kept; None when they are not."""
    most_mb = _most_mb(run, run.settings.machine.cache_mb)
    if most_mb == 0:
        return None
    return KeptBins(run.settings.home_path / CACHE, features.record.signature, most_mb)


def kept_folds(run: Run, model: ModelSettings) -> KeptFolds | None:
    """Where a member's finished folds are kept from week to week; None when they are not.

    Those of a user's own class are not: what it reads beside its own file is not known, so nobody could say that a fold
    of last week is the one that would be made now.
    """
    most_mb = _most_mb(run, run.settings.machine.folds_mb)
    if most_mb == 0 or find(model.kind).source:
        return None
    return KeptFolds(run.settings.home_path / FOLDS, code_version(FOLD, learners_of([model.kind])), most_mb)


def _most_mb(run: Run, allowed_mb: int) -> int:
    free_mb = shutil.disk_usage(run.settings.home_path).free // 2**20
    return min(allowed_mb, free_mb // FREE_SHARE)


def kept_bases(run: Run, model: ModelSettings) -> KeptBases | None:
    """Where the bases of a member are kept: a week goes on with the one of the week before. None: it has none."""
    if not (find(model.kind).keeps_bases and adapts(model.params)):
        return None
    return KeptBases(run.settings.home_path / BASES, code_version(TRAINING, learners_of([model.kind])))


def _importance(run: Run, features: Features) -> ImportanceSample | None:
    """How importance is measured: on what everybody is judged on."""
    rows = run.settings.selection.importance_rows
    return ImportanceSample(features.contract.target, rows) if rows else None


def _selects(run: Run, model: ModelSettings) -> bool:
    names = run.settings.selection.models
    return not names or model.name in names


def train_all(
    run: Run, features: Features, chosen: StageRecord | None = None, coded: StageRecord | None = None
) -> list[StageRecord]:
    """Train every model of the settings. One that failed for good costs itself, not the week, while enough are left.

    Args:
        run: the settings and the folder.
        features: the era store and the windows.
        chosen: the selection stage; None: every model uses all features.
        coded: the stage that learnt a code of the features; None: there is none.

    Raises:
        SettingsError: a parameter of a model is wrong, or a model is to be tuned and was not searched for; a person has
            to correct it, so nothing else is trained.
        EraflowError: the failure of the first lost model, when fewer than `gate.min_models` are left.
    """
    trained: list[StageRecord] = []
    lost: dict[str, Exception] = {}
    for model in tuned_models(run):
        outcome = record_or_loss(train(run, features, model, chosen, coded, return_state=True))
        if isinstance(outcome, StageRecord):
            trained.append(outcome)
            continue
        lost[model.name] = outcome
        note_lost(run.path, f"{TRAIN}{model.name}", outcome)
        get_run_logger().error("%s is lost, the week goes on without it: %s", model.name, outcome)
        tell_people(
            run, f"Eraflow: {model.name} is lost, the week goes on without it", f"{outcome}\nrun folder {run.path}"
        )
    if len(trained) < min(run.settings.gate.min_models, len(run.settings.models)):
        raise next(iter(lost.values()))
    return trained
