"""Search parameters for the models of a run, on eras before the first judged one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from prefect import get_run_logger, task

from eraflow.data.coverage import META_MODEL
from eraflow.data.membereras import longest_horizon, target_of
from eraflow.errors import SettingsError
from eraflow.kinds import SEARCHED, find
from eraflow.machine.estimate import Need
from eraflow.runs.attempt import Work
from eraflow.runs.codeversion import learners_of
from eraflow.runs.searchrecord import REPORT
from eraflow.runs.stage import StageRecord
from eraflow.runs.weekrecord import SEARCH, note_lost
from eraflow.scoring.payout import TODAY, Payout
from eraflow.settings.models import ModelSettings
from models.kinds import count_weights, thread_bytes
from models.search.best import search_key
from models.search.folds import SearchEras, search_eras
from models.search.job import Learnt, SearchJob
from models.search.space import largest_params
from tasks.alert import tell_people
from tasks.features import Features
from tasks.pages.searchpage import search_in_words, show_search
from tasks.run import Run
from tasks.searchtracking import track_search
from tasks.stage import STAGE_TASK, record_or_loss, run_stage
from tasks.tournament import source_key

# What a database of trials on another computer may ask for.
MIB = 2**20
DATABASE_CREDENTIALS = ("ERAFLOW_SEARCH_PASSWORD", "PGPASSWORD", "MYSQL_PWD")


def key_of(run: Run, model: ModelSettings) -> str:
    """The key under which the result for a member is kept and found: see `models.search.best.tuned_params`."""
    data = run.settings.data
    return search_key(
        version=data.version,
        target=model.target or data.target,
        features=data.features,
        learn=model.learn,
        source=source_key(run.settings),
        also=model.also_learn,
    )


def search_all(run: Run, features: Features, payout: Payout = TODAY) -> list[StageRecord]:
    """Search for every model of the settings for which there is a search, or for those that `search.models` names.

    A search that fails for good costs itself, not the others.

    Args:
        run: the settings and the folder.
        features: the era store and the windows.
        payout: what an era pays, where that is maximised.

    Raises:
        SettingsError: a setting is wrong, or `search.models` names a model that there is not.
        EraflowError: the first failure, when every search failed.
    """
    if run.settings.data.code != "none":
        raise SettingsError(
            f"a search tries parameters on the features as they are, and data.code={run.settings.data.code} is set",
            "search without it; a member marked as tuned then starts from what was found, also with a code",
        )
    found: list[StageRecord] = []
    lost: dict[str, Exception] = {}
    for model in searched_models(run):
        outcome = record_or_loss(search(run, features, model, payout, return_state=True))
        if isinstance(outcome, StageRecord):
            found.append(outcome)
            continue
        lost[model.name] = outcome
        note_lost(run.path, f"{SEARCH}{model.name}", outcome)
        get_run_logger().error("the search for %s is lost: %s", model.name, outcome)
        tell_people(run, f"Eraflow: the search for {model.name} is lost", f"{outcome}\nrun folder {run.path}")
    if not found and lost:
        raise next(iter(lost.values()))
    return found


def searched_models(run: Run) -> list[ModelSettings]:
    """The members that are searched for; of a bag its learner, as one fit with the member's own params.

    Raises:
        SettingsError: `search.models` names something else, or there is no such model.
    """
    known = {model.name: model for model in run.settings.models if model.kind in SEARCHED}
    names = run.settings.search.models or list(known)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        choice = ", ".join(known) or f"{', '.join(SEARCHED)}, and add it to models"
        raise SettingsError(
            f"search.models names {', '.join(unknown)}" if unknown else "there is no model to search for",
            f"choose from {choice}",
        )
    return [known[name] for name in dict.fromkeys(names)]


@task(name="search", task_run_name="search-{model.name}", **STAGE_TASK)
def search(run: Run, features: Features, model: ModelSettings, payout: Payout = TODAY) -> StageRecord:
    """All trials of one member, the confirmation, the page and the MLflow runs."""
    contract, cut = features.contract, eras_for(run, features, model)
    learnt = Learnt(
        target_of(contract, model),
        contract.benchmark if model.learn == "residual" else None,
        dict(features.groups) if find(model.kind).takes_groups else None,
        dict(model.also_learn),
    )
    job = SearchJob(
        kind=model.kind,
        name=model.name,
        params=dict(model.params),
        key=key_of(run, model),
        eras=cut,
        learn=learnt,
        target=contract.target,
        horizon_days=contract.horizon_days,
        contribution=_contribution(features),
        payout=payout if run.settings.search.objective == "payout" else None,
        search=run.settings.search,
        seed=run.settings.seed,
        store=features.store,
        home=run.settings.home_path,
    )
    work = Work(
        name=f"{SEARCH}{model.name}",
        target="models.search.stage:search_model",
        job=job,
        inputs={"features": features.record.signature},
        need=search_need(features, model, cut),
        credentials=DATABASE_CREDENTIALS,
        learners=learners_of([model.kind]),
    )
    record = run_stage(run, work)
    report = json.loads((record.path / REPORT).read_text(encoding="utf-8"))
    get_run_logger().info("search for %s: %s", model.name, search_in_words(report))
    show_search(report)
    track_search(run, record, report)
    return record


def eras_for(run: Run, features: Features, model: ModelSettings) -> SearchEras:
    """What the search for a member may see.

    Raises:
        TooFewErasToSearchError: there is too little before the first judged era.
    """
    contract = features.contract
    target = target_of(contract, model)
    known: Sequence[str] = contract.eras_of(target)
    if model.learn == "residual":
        covered = set(contract.benchmark_eras)
        known = [era for era in known if era in covered]
    return search_eras(
        contract.resolved_eras,
        known,
        features.windows[0].test[0],
        horizons=(contract.horizon_days, longest_horizon(contract, model)),
        search=run.settings.search,
        windows=run.settings.windows,
        stride=features.stride,
    )


def search_need(features: Features, model: ModelSettings, cut: SearchEras) -> Need:
    """The bins of all folds at once, or the fit of a finalist, whichever is larger; of a network, the largest."""
    stored = features.record.metrics
    per_era = stored["rows"] / max(stored["eras"], 1)
    folds = sum(len(fold.train) for fold in cut.folds)
    eras = max(folds, len(cut.confirmation.train))
    judged = max(sum(len(fold.test) for fold in cut.folds), len(cut.confirmation.test))
    columns, cost = int(stored["features"]), find(model.kind).cost
    largest = largest_params(model.kind, model.params, rows=round(per_era * eras), features=columns)
    held = thread_bytes(model.kind, largest, per_era) / MIB
    return Need(
        model.kind,
        rows=round(per_era * eras),
        columns=columns,
        eras=eras,
        judged=round(per_era * judged),
        trees=2_000,
        weights=count_weights(model.kind, largest, columns),
        cost=replace(cost, thread_mb=cost.thread_mb + held),
    )


def _contribution(features: Features) -> tuple[str, ...]:
    """Columns against which contribution may be measured: the meta model is what pays, the benchmark stands in."""
    contract = features.contract
    known = [META_MODEL] if contract.meta_model_eras else []
    return (*known, *([contract.benchmark] if contract.benchmark else []))
