"""The stage that searches parameters for one model: trials, finalists, confirmation, and what is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.study import Study

from eraflow.disk.atomic import storage_errors, write_json
from eraflow.disk.digest import value_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.errors import SettingsError
from eraflow.machine.job import stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from eraflow.scoring.payout import TODAY, Payout
from eraflow.settings.search import SearchSettings
from models.kinds import model_class
from models.search.best import Confirmation, Confirmed, Finalist, common_value, finalists, judged, keep, read_best
from models.search.folds import SearchEras
from models.search.job import Learnt, SearchJob
from models.search.objective import Pressure, pressure
from models.search.sampling import importances
from models.search.scored import Sides
from models.search.space import VERSION, Space, space_for
from models.search.storage import shown
from models.search.study import Done, Search, history, opened, run_trials
from models.search.trial import Bench

REPORT = "search.json"
SCRATCH = "scratch"
CORR_ALONE = (1.0, 0.0)
"""How studies tell that CORR alone is maximised; those that were begun long ago go on."""


class NoContributionError(SettingsError):
    """Payout needs a meta model or a benchmark on the eras of the search, and neither covers them."""

    code = "no_contribution"


@stage_function(SearchJob)
def search_model(job: SearchJob, out: Path, plan: Plan) -> dict[str, Any]:
    """Search, confirm, keep; write `search.json` with everything that people are shown.

    Returns:
        Figures for tables: trials, given_up, best value, kept, means and difference on the confirmation eras.

    Raises:
        NotSearchedError, NoContributionError, SearchStorageError, ModelSettingsError.
    """
    store = EraStore.open(job.store)
    sides = scoring_sides(store, job.eras, job.target, job.search, job.contribution, job.payout)
    space = _space(job.kind, job.params, store, job.eras)
    work = _Work(job.name, store, job.eras, job.learn, sides, space, job.search, job.seed, plan, out / SCRATCH)
    search = _search_of(work, f"{job.kind}-{job.key}", job.home)
    print(f"{job.name}: study {search.name} in {shown(search.storage, search.home)}", flush=True)  # noqa: T201 - the log
    found = _found(work, search, read_best(search.home, job.kind, job.key))
    result = judged(found.confirmed, job.eras.confirmation, job.horizon_days)
    record = {"kind": job.kind, "key": job.key, "study": search.name, **_outcome(work, found, result)}
    keep(search.home, record)
    write_json(out / REPORT, {**record, **_told(work, found), "winner": result["winner"]})
    return _metrics(found, result)


@dataclass(frozen=True)
class _Work:
    """What the parts of the stage share."""

    name: str
    store: EraStore
    cut: SearchEras
    learnt: Learnt
    sides: Sides
    space: Space
    settings: SearchSettings
    seed: int
    plan: Plan
    scratch: Path

    @property
    def steps(self) -> int:
        """Of the progress: trials, finalists and the defaults."""
        return self.settings.trials + self.settings.finalists + 1


@dataclass(frozen=True)
class _Found:
    """All trials, the pressure after them, the confirmed, and how much each parameter decides."""

    done: Sequence[Done]
    now: Pressure
    confirmed: Sequence[Confirmed]
    shares: Mapping[str, float]
    values: Mapping[int, float]


def _space(kind: str, params: Mapping[str, Any], store: EraStore, cut: SearchEras) -> Space:
    """What may be searched; the ranges follow from the rows of the last fold, the largest."""
    rows = int(sum(np.diff(store.offsets(cut.folds[-1].train))))
    return space_for(kind, params, rows=rows, features=len(store.features))


def _search_of(work: _Work, family: str, home: Path) -> Search:
    settings = work.settings
    what = described(work.store, work.space, work.cut, work.learnt, work.sides, settings, work.seed)
    return Search(
        name=f"{family}-{value_sha256(what)[:16]}",
        family=family,
        trials=settings.trials,
        seed=work.seed,
        gap_penalty=settings.gap_penalty,
        prune=settings.prune,
        patience_seconds=settings.patience_minutes * 60,
        storage=settings.storage,
        home=home,
        hours=settings.hours,
    )


def _found(work: _Work, job: Search, earlier: Mapping[str, Any] | None) -> _Found:
    """Do the trials that are left, then confirm the best."""
    begin_with = [earlier["params"]] if earlier is not None and earlier["params"] else []
    _fresh(work.scratch)
    with opened(job, work.space, begin_with) as study:
        done = _trials(work, job, study)
        now = pressure(history(study), job.gap_penalty, seed=work.seed, position=job.trials)
        confirmed = _confirmed(work, study, finalists(done, work.space, work.settings.finalists, now.penalty))
        values = {one.number: common_value(one, now.penalty) for one in done if one.scores is not None}
        shares = importances(study, values)
    shutil.rmtree(work.scratch, ignore_errors=True)
    report(work.steps, work.steps, f"{work.name}: done")
    return _Found(done, now, confirmed, shares, values)


def _trials(work: _Work, job: Search, study: Study) -> list[Done]:
    bench = Bench(
        work.store, work.cut.folds, work.learnt, work.sides, work.space,
        seed=work.seed, plan=work.plan, scratch=work.scratch,
    )  # fmt: skip
    try:
        return run_trials(study, job, bench, log=_say(work.name), progress=_progress(work.name, work.steps))
    finally:
        bench.close()


def _confirmed(work: _Work, study: Study, chosen: Sequence[Finalist]) -> list[Confirmed]:
    court = Confirmation(
        work.store, work.cut.confirmation, work.learnt, work.sides, work.space,
        seed=work.seed, plan=work.plan, scratch=work.scratch,
    )  # fmt: skip
    return [
        court.of(study, one, _part(work.name, work.settings.trials + number, work.steps, one.label))
        for number, one in enumerate(chosen)
    ]


def _outcome(work: _Work, found: _Found, result: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a search besides its names."""
    winner, learnt, given = found.confirmed[result["winner"]].finalist, work.learnt, dict(work.space.given)
    about = {"target": learnt.target, "benchmark": learnt.benchmark, "scored": work.sides.target, "params": given}
    return {
        "about": about,
        "kept": result["kept"],
        "params": {} if result["winner"] == 0 else _kept_params(work.space, winner.params, winner.length),
        "trials": len(found.done),
        "eras": result["eras"],
        "confirmation": result["table"],
    }


def _told(work: _Work, found: _Found) -> dict[str, Any]:
    """What of the report is for people alone."""
    return {
        "name": work.name,
        "objective": {"name": work.settings.objective, "against": work.sides.other, "penalty": found.now.penalty},
        "pressure": found.now.level,
        "importance": dict(found.shares),
        "space": work.space.table(),
        "unit": model_class(work.space.kind).length_unit,
        "course": [_line(one, found.now.penalty) for one in found.done],
    }


def scoring_sides(
    store: EraStore,
    cut: SearchEras,
    target: str,
    settings: SearchSettings,
    contribution: Sequence[str],
    payout: Payout | None,
) -> Sides:
    """What a trial's score is made of.

    The meta model begins late in Numerai's history, after the eras of a search; then contribution is measured against
    the benchmark, which is BMC, and the report says so.

    Raises:
        NoContributionError: payout is wanted and no column covers every fold and the confirmation.
    """
    if settings.objective == "corr":
        return Sides(target)
    spans = [window.test for window in (*cut.folds, cut.confirmation)]
    for name in contribution:
        covered = set(store.coverage(name)) if name in store.columns else set()
        if all(covered & set(span) for span in spans):
            return Sides(target, name, TODAY if payout is None else payout)
    raise NoContributionError(
        f"search.objective is payout, but none of {', '.join(contribution) or 'no column'} is known in every fold and "
        f"in the confirmation eras {cut.confirmation.test[0]} to {cut.confirmation.test[-1]}",
        "set search.objective=corr, or begin judging later (windows.first_test_fraction)",
    )


def described(
    store: EraStore, space: Space, cut: SearchEras, learnt: Learnt, sides: Sides, settings: SearchSettings, seed: int
) -> dict[str, Any]:
    """All that decides what a trial's value means. Equal on computers with the same data, wherever that lies."""
    seen = sorted({era for window in (*cut.folds, cut.confirmation) for era in (*window.train, *window.test)})
    firsts = store.offsets()[[store.eras.index(era) for era in seen]]
    matrix = store.matrix()
    return {
        "version": VERSION,
        "kind": space.kind,
        "params": dict(space.given),
        "eras": asdict(cut),
        "features": value_sha256(list(store.features)),
        "values": value_sha256([matrix[int(row)].tolist() for row in firsts]),
        "targets": value_sha256(
            [np.nan_to_num(store.column(name, seen), nan=-1.0).tolist() for name in {learnt.target: 0, sides.target: 0}]
        ),
        "learn": [learnt.target, learnt.benchmark, *filter(None, (learnt.groups, learnt.also))],
        "score": [sides.target, sides.other, *(CORR_ALONE if sides.payout is None else astuple(sides.payout))],
        "gap_penalty": settings.gap_penalty,
        "prune": settings.prune,
        "seed": seed,
    }


def _kept_params(space: Space, searched: Mapping[str, float], length: int | None) -> dict[str, Any]:
    stated = space.params(searched, length)
    return {name: value for name, value in stated.items() if name not in space.given}


def _line(one: Done, penalty: float) -> dict[str, Any]:
    """A trial as the table and MLflow show it."""
    scores = one.scores
    look = None if scores is None else scores.chosen(penalty)
    return {
        "trial": one.position + 1,
        "state": one.state,
        "origin": one.origin,
        "params": dict(one.params),
        "value": None if scores is None else scores.value(penalty),
        "score": None if scores is None or look is None else scores.score[look],
        "corr": None if scores is None or look is None else scores.held_out[look],
        "training_corr": None if scores is None or look is None else scores.training[look],
        "length": None if scores is None or look is None else scores.looks[look],
        "pressure": one.pressure.level,
        "penalty": one.pressure.penalty,
        "floor": one.pressure.floor,
        "reported": {str(step): value for step, value in sorted(one.reported.items())},
        "note": one.note,
    }


def _metrics(found: _Found, result: Mapping[str, Any]) -> dict[str, Any]:
    done, table = found.done, result["table"]
    nobody: dict[str, Any] = {"against_defaults": {}}
    compared = max(table[1:], key=lambda row: row["mean"] or -np.inf, default=nobody)
    return {
        "trials": len(done),
        "trial_seconds": [one.seconds for one in done],
        "given_up": sum(one.state == "pruned" for one in done),
        "best_value": max(found.values.values(), default=None),
        "kept": result["kept"],
        "confirmed_eras": result["eras"]["count"],
        "confirmed": table[result["winner"]]["mean"],
        "confirmed_defaults": table[0]["mean"],
        "difference": compared["against_defaults"].get("difference"),
        "verdict": compared["against_defaults"].get("verdict"),
    }


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with storage_errors(folder):
        folder.mkdir(parents=True)


def _say(name: str) -> Callable[[str], None]:
    return lambda line: print(f"{name}: {line}", flush=True)  # noqa: T201 - a stage's output is its log


def _progress(name: str, steps: int) -> Callable[[float, str], None]:
    return lambda done, label: report(round(done, 2), steps, f"{name} {label}")


def _part(name: str, before: int, steps: int, label: str) -> Callable[[float], None]:
    return lambda part: report(round(before + min(part, 0.99), 2), steps, f"{name}: confirming {label}")
