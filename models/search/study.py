"""The search of one model: trials in a storage that survives kills and that several processes and computers share."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from models.search.deadtrials import FOUND, OWNER, Worker, close_dead_trials, do_again
from models.search.objective import CompletedTrial, Pressure, pressure
from models.search.sampling import COUNTED, HalvingPruner, NoPruner, PlacedSampler, position_of, quiet_optuna
from models.search.space import Space
from models.search.storage import FOLDER, open_storage, storage_problems
from models.search.trial import Bench, GivenUpError, TrialScores

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
READY = "ready"
ASKED = "asked"
"""Attribute of a trial: its parameters as they are used, and the pressure when it began."""
POLL_SECONDS = 1.0
SETUP_SECONDS = 60.0
EARLIER_KEPT = 5
"""So many of the best earlier trials open next week's search."""

ProgressOf = Callable[[float, str], None]


class SurplusError(Exception):
    """Another process has begun the last trial in the meantime."""


@dataclass(frozen=True)
class Search:
    """What decides a search, beside the data.

    Attributes:
        name: of the study: the kind, the key under which its result is kept, and a digest of all that decides it.
        family: the beginning of the name that next week's search of the same model shares.
        trials: how many, of all processes together.
        hours: no trial is begun when those that have ended took so long together; None: however long they take.
        seed, gap_penalty, prune: as in the settings.
        patience_seconds: until a silent trial is done again.
        storage: SQLAlchemy address or None.
        home: the home folder.
    """

    name: str
    family: str
    trials: int
    seed: int
    gap_penalty: float
    prune: bool
    patience_seconds: float
    storage: str | None
    home: Path
    hours: float | None = None


@dataclass(frozen=True)
class Done:
    """A trial that has ended well.

    Attributes:
        number: in the storage.
        position: its place among those that count.
        state: complete, or pruned.
        params: the searched parameters as they were used, lower bounds risen; empty for the defaults.
        scores: None when it was given up.
        origin: defaults, starting point, earlier search, or sampled.
        pressure: of adaptive regularisation when it began.
        reported: step to score, as far as it came.
        seconds: how long it took.
        note: why it was given up.
    """

    number: int
    position: int
    state: str
    params: Mapping[str, float]
    scores: TrialScores | None
    origin: str
    pressure: Pressure
    reported: Mapping[int, float]
    seconds: float
    note: str


@contextmanager
def opened(search: Search, space: Space, earlier: Sequence[Mapping[str, Any]] = ()) -> Iterator[Study]:
    """The study, made and opened with the defaults and the best of earlier searches when it is new.

    Args:
        search: its name and settings.
        space: what is searched.
        earlier: parameters to begin with, beside those that the storage remembers.

    Raises:
        SearchStorageError: the storage does not work.
    """
    quiet_optuna()
    with storage_problems():
        storage = open_storage(
            search.storage, search.home, patience_seconds=search.patience_seconds, when_stale=do_again
        )
        try:
            study = _made(storage, search)
            if not study.user_attrs.get(READY):
                _begin(study, search, space, [*remembered(storage, search), *earlier])
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _made(storage: optuna.storages.RDBStorage, search: Search) -> Study:
    sampler, pruner = PlacedSampler(search.seed), HalvingPruner() if search.prune else NoPruner()
    try:
        return optuna.create_study(
            storage=storage, study_name=search.name, direction="maximize", sampler=sampler, pruner=pruner
        )
    except DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=search.name, sampler=sampler, pruner=pruner)
        _wait_until(lambda: bool(study.user_attrs.get(READY)), SETUP_SECONDS)  # else its maker died: take over
        return study


def _begin(study: Study, search: Search, space: Space, earlier: Sequence[Mapping[str, Any]]) -> None:
    """Queue the defaults, the kind's starting points and what earlier searches found; at most half of the trials."""
    study.set_user_attr("family", search.family)
    if not any(trial.user_attrs.get("origin") == "defaults" for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(space.defaults(), user_attrs={"origin": "defaults"})
    room = max(0, search.trials // 2 - 1)
    points = space.starting_points()[:room]
    for point in points:
        study.enqueue_trial(point, user_attrs={"origin": "starting point"})
    found = [values for params in earlier if (values := space.clipped(params)) is not None]
    for values in found[: min(EARLIER_KEPT, room - len(points))]:
        study.enqueue_trial(values, user_attrs={"origin": "earlier search"}, skip_if_exists=True)
    study.set_user_attr(READY, True)


def remembered(storage: optuna.storages.BaseStorage, search: Search) -> list[dict[str, float]]:
    """Parameters of the best trials of the newest earlier study of the same family, the best first."""
    earlier = [
        found
        for found in optuna.get_all_study_summaries(storage)
        if found.user_attrs.get("family") == search.family and found.study_name != search.name and found.n_trials
    ]
    numbers = {found.study_name: storage.get_study_id_from_name(found.study_name) for found in earlier}
    for found in sorted(earlier, key=lambda one: numbers[one.study_name], reverse=True):
        study = optuna.load_study(storage=storage, study_name=found.study_name)
        done = [one for one in finished_trials(study) if one.scores is not None and one.params]
        if done:
            best = sorted(done, key=lambda one: -one.scores.value(one.pressure.penalty))  # type: ignore[union-attr]
            return [dict(one.params) for one in best[:EARLIER_KEPT]]
    return []


def run_trials(
    study: Study, search: Search, bench: Bench, *, log: Callable[[str], None], progress: ProgressOf
) -> list[Done]:
    """Work until the search has all its trials, together with whoever else works on it; returns them all.

    Raises:
        SearchStorageError: the storage does not work.
        EraflowError: whatever a fit raises that is not the fault of its parameters.
    """
    worker = Worker(search.home / FOLDER / "workers")
    told = _Told(study, search, log, progress)
    try:
        with storage_problems(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            while not _work(study, search, bench, worker, told):
                pass
    finally:
        worker.close()
    return finished_trials(study)


def _work(study: Study, search: Search, bench: Bench, worker: Worker, told: _Told) -> bool:
    """One step: a trial, or a wait for others; whether the search is done."""
    close_dead_trials(study, search.patience_seconds, worker if search.storage is None else None)
    optuna.storages.fail_stale_trials(study)
    trials = study.get_trials(deepcopy=False, states=COUNTED)
    states = [trial.state for trial in trials]
    done = sum(state in FINISHED for state in states)
    told.count(done)
    late = done > 0 and _is_over(search, trials)
    if done >= search.trials or (late and TrialState.RUNNING not in states):
        return True
    if late or (len(states) >= search.trials and TrialState.WAITING not in states):  # the last are at work elsewhere
        time.sleep(POLL_SECONDS)
        return False

    def objective(trial: Trial) -> float:
        return _objective(trial, study, search, bench, worker, told)

    try:
        study.optimize(objective, n_trials=1, catch=(SurplusError,))
    except (UpdateFinishedTrialError, ValueError) as error:
        if not told.was_taken_away(error):
            raise
        told.log("a trial of this process was taken for dead and given to another one; see search.patience_minutes")
    return False


def _is_over(search: Search, trials: Sequence[FrozenTrial]) -> bool:
    """Whether the trials that have ended took as long as the search may; what a killed one took is lost."""
    spent = sum(float(trial.user_attrs.get(FOUND, {}).get("seconds", 0.0)) for trial in trials)
    return search.hours is not None and spent >= search.hours * 3600


def _objective(trial: Trial, study: Study, search: Search, bench: Bench, worker: Worker, told: _Told) -> float:
    began = time.monotonic()
    told.at_work = trial.number
    trial.set_user_attr(OWNER, worker.mark)
    position = position_of(study, trial.number)
    if position >= search.trials:
        raise SurplusError
    now = pressure(history(study), search.gap_penalty, seed=search.seed, position=position)
    origin = trial.user_attrs.get("origin", "sampled")
    suggested = bench.space.suggest(trial)
    params = {} if origin == "defaults" else bench.space.effective(suggested, now.floor)
    trial.set_user_attr(ASKED, {"params": params, "pressure": [now.level, now.penalty, now.floor]})

    def report(step: int, value: float) -> bool:
        trial.report(value, step)
        return bool(trial.should_prune())

    try:
        scores = bench.run(bench.space.params(params), report, told.share)
    except GivenUpError as error:
        trial.set_user_attr(FOUND, {"seconds": round(time.monotonic() - began, 3), "note": str(error)})
        told.trial(position, None, str(error))
        raise optuna.TrialPruned(str(error)) from error
    trial.set_user_attr(FOUND, {"seconds": round(time.monotonic() - began, 3), "scores": scores.as_dict()})
    value = scores.value(now.penalty)
    told.trial(position, value, origin)
    return value


def history(study: Study) -> list[CompletedTrial]:
    """Completed trials in the order of their numbers, as adaptive regularisation reads them."""
    return [done.scores.seen(done.pressure.penalty) for done in finished_trials(study) if done.scores is not None]


def finished_trials(study: Study) -> list[Done]:
    """All trials that ended well, in the order of their places."""
    counted = study.get_trials(deepcopy=False, states=COUNTED)
    return [_done(trial, place) for place, trial in enumerate(counted) if trial.state in FINISHED]


def _done(trial: FrozenTrial, position: int) -> Done:
    asked, found = trial.user_attrs.get(ASKED, {}), trial.user_attrs.get(FOUND, {})
    complete = trial.state == TrialState.COMPLETE and "scores" in found
    return Done(
        number=trial.number,
        position=position,
        state="complete" if complete else "pruned",
        params=asked.get("params", dict(trial.params)),
        scores=TrialScores.from_dict(found["scores"]) if complete else None,
        origin=trial.user_attrs.get("origin", "sampled"),
        pressure=Pressure(*asked.get("pressure", (0.0, 0.0, 0.0))),
        reported={int(step): float(value) for step, value in trial.intermediate_values.items()},
        seconds=float(found.get("seconds", 0.0)),
        note=found.get("note", ""),
    )


class _Told:
    """What the log and the progress say of the search."""

    def __init__(self, study: Study, search: Search, log: Callable[[str], None], progress: ProgressOf) -> None:
        self.log = log
        self.at_work: int | None = None
        self._study, self._trials, self._progress = study, search.trials, progress
        self._done = 0
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._best: float | None = max((float(one.value) for one in complete), default=None)

    def was_taken_away(self, error: Exception) -> bool:
        """Whether `error` only says that another process has given this one's trial up for dead."""
        if isinstance(error, ValueError) and not str(error).startswith("Cannot tell a"):
            return False
        return any(one.number == self.at_work for one in self._study.get_trials(states=(TrialState.FAIL,)))

    def count(self, done: int) -> None:
        """So many trials are finished, by whomever."""
        self._done = done
        self.share(0.0)

    def share(self, part: float) -> None:
        """This process's trial is done to this part."""
        best = "" if self._best is None else f", best {self._best:.4f}"
        done = min(self._done + part, self._trials)
        self._progress(done, f"trial {min(self._done + 1, self._trials)} of {self._trials}{best}")

    def trial(self, position: int, value: float | None, why: str) -> None:
        """This process has finished a trial."""
        if value is None:
            self.log(f"trial {position + 1} of {self._trials} given up: {why}")
            return
        self._best = value if self._best is None else max(self._best, value)
        self.log(f"trial {position + 1} of {self._trials} ({why}): {value:.5f}, best {self._best:.5f}")


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 5)
