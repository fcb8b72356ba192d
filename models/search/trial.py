"""One trial: a set of parameters fitted on purged folds, looked at while it grows, and stopped where it falls behind.

What all trials of a search share is made once: the binned rows of each fold, the prepared scores, the rows that are
predicted at each look. A look at trees predicts only those that are new since the last one; a look at a network
predicts with its weights of then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.data.eras import Window
from eraflow.erastore.erareader import EraStore
from eraflow.machine.failures import StageDiverged, StageNaN, StageStalled
from eraflow.machine.plan import Plan
from models.base.protocol import Codes, ConstantPredictionsError, FloatArray
from models.boosters.prepared import Prepared
from models.kinds import make_model
from models.search.job import Learnt
from models.search.objective import CompletedTrial, penalised
from models.search.scored import ScoredEras, Sides, probe_eras
from models.search.space import Space
from models.training.trainer import fit_eras, further_targets, learnt_purge, positions_of, training_view

MOST_LOOKS = 8
"""Looks at a model while it grows: an eighth of the trees is how finely their best number is found."""
LOOKS_AT_NETWORK = 2
"""At half of its updates and at the end; its length is not read off, so further looks would tell nothing."""
PROBE_SHARE = 0.33
"""Training eras that are predicted for the gap, as a share of the held-out ones."""
UNUSABLE = (ConstantPredictionsError, StageNaN, StageDiverged, StageStalled)
"""Parameters under which nothing is learnt: a bad trial, not a failure of the search."""

STORED = {"length_free": "trees_free"}
"""Names under which the storage has what is called otherwise here; studies that were begun long ago go on."""

Report = Callable[[int, float], bool]
"""(step, mean score so far) -> whether the trial is to be given up. Two steps a fold: half of the length, and all."""


class GivenUpError(Exception):
    """The trial fell behind; the fit has ended."""


@dataclass(frozen=True)
class TrialScores:
    """What a completed trial showed, by look and averaged over folds.

    Attributes:
        looks: trees, or updates, at each look.
        score: held-out score at each look, in units of the objective.
        held_out, training: mean CORR at each look.
        by_fold: held-out score of each fold at each look.
        unit: what a CORR of 1 is worth in the score.
        length_free: whether the best look may be chosen; otherwise the last one counts.
    """

    looks: tuple[int, ...]
    score: tuple[float, ...]
    held_out: tuple[float, ...]
    training: tuple[float, ...]
    by_fold: tuple[tuple[float, ...], ...]
    length_free: bool
    unit: float = 1.0

    def chosen(self, penalty: float) -> int:
        """The look that counts under this weight of the gap."""
        if not self.length_free:
            return len(self.looks) - 1
        return int(np.argmax([self._value(look, penalty) for look in range(len(self.looks))]))

    def value(self, penalty: float) -> float:
        """The objective."""
        return self._value(self.chosen(penalty), penalty)

    def seen(self, penalty: float) -> CompletedTrial:
        """For the history that adaptive regularisation reads."""
        look = self.chosen(penalty)
        return CompletedTrial(self.held_out[look], self.training[look])

    def _value(self, look: int, penalty: float) -> float:
        return penalised(self.score[look], self.unit * (self.training[look] - self.held_out[look]), penalty)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {STORED.get(name, name): _listed(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialScores:
        """The inverse of `as_dict`."""
        names = {stored: name for name, stored in STORED.items()}
        return cls(**{names.get(name, name): _tupled(value) for name, value in values.items()})


class Fold:
    """One fold, with everything that its trials share.

    Args:
        store: the data.
        window: eras learnt from and judged on.
        learnt: what is learnt.
        sides: how it is scored.
    """

    def __init__(self, store: EraStore, window: Window, learnt: Learnt, sides: Sides) -> None:
        self.window = window
        self.x, self.y = training_view(store, learnt.target, window.train, learnt.benchmark)
        self.eras = fit_eras(store, window.train, learnt_purge((learnt.target, *learnt.also), window.purge_weeks))
        self.further = further_targets(store, learnt.also, window.train)
        self.held_out = ScoredEras(store, window.test, sides)
        most = max(2, round(PROBE_SHARE * len(window.test)))
        self.training = ScoredEras(store, probe_eras(window.train, most), sides)
        self.prepared: Prepared | None = None

    def close(self) -> None:
        """Give back the binned rows."""
        if self.prepared is not None:
            self.prepared.close()
            self.prepared = None

    @cached_property
    def both(self) -> Codes:
        """int8[n, f]: held-out rows, then training rows, for a learner that must know beforehand what it predicts."""
        return np.concatenate([self.held_out.x, self.training.x])


class Bench:
    """Runs trials of one search, one after another.

    Args:
        store: the data.
        folds: of the search, in the order in which they are fitted: the cheap ones first.
        learnt, sides: what is learnt, and how it is scored.
        space: what is searched.
        seed: of the search; all trials draw the same numbers, so that they differ by their parameters alone.
        plan: how to use the machine. A lean one does not keep the bins of folds that are not at work.
        scratch: for the libraries' own files.
    """

    def __init__(
        self,
        store: EraStore,
        folds: Sequence[Window],
        learnt: Learnt,
        sides: Sides,
        space: Space,
        *,
        seed: int,
        plan: Plan,
        scratch: Path,
    ) -> None:
        self.folds = [Fold(store, window, learnt, sides) for window in folds]
        self.space, self._seed, self._scratch, self._unit = space, seed, scratch, sides.unit
        self._groups = positions_of(learnt.groups, store.features)
        # A trial with a lower rate or fewer trees would be a trial of something else.
        self._plan = replace(plan, rate_factor=1.0, work_factor=1.0)

    @property
    def plan(self) -> Plan:
        """How the machine is used; nothing of it changes a trial."""
        return self._plan

    def looks(self, params: Mapping[str, Any]) -> tuple[int, ...]:
        """Trees, or updates, at each look at a model of these parameters; the last are all."""
        length = self.space.length_of(params)
        if not self.space.adds:
            count = min(LOOKS_AT_NETWORK, length)
            return tuple(-(-length * (look + 1) // count) for look in range(count))
        count = max(parts for parts in range(1, MOST_LOOKS + 1) if length % parts == 0)
        return tuple(length * (look + 1) // count for look in range(count))

    def run(self, params: Mapping[str, Any], report: Report, progress: Callable[[float], None]) -> TrialScores:
        """Fit and score `params` on all folds.

        Args:
            params: of the model, its length left out where that is free.
            report: asked at half and at the end of each fold.
            progress: told the done share of the trial.

        Raises:
            GivenUpError: `report` said so, or nothing can be learnt with these parameters.
        """
        held: list[npt.NDArray[np.float64]] = []
        model: Any = make_model(self.space.kind, params, scratch=self._scratch, groups=self._groups)
        looks = self.looks(params)
        for number, fold in enumerate(self.folds):
            watch = _Watch(self, looks, number, held, report, progress)
            try:
                self._fit(model, fold, watch)
            except UNUSABLE as error:
                raise GivenUpError(str(error)) from error
            if watch.given_up:
                raise GivenUpError(f"behind after {len(watch.seen)} of {len(looks)} looks at fold {number + 1}")
            held.append(np.asarray(watch.seen))
        means = np.mean(held, axis=0)  # float64[looks, 3]
        score, corr, training = (tuple(means[:, column].tolist()) for column in range(3))
        by_fold = tuple(tuple(one[:, 0].tolist()) for one in held)
        return TrialScores(looks, score, corr, training, by_fold, self.space.length_free, self._unit)

    def _fit(self, model: Any, fold: Fold, watch: _Watch) -> None:
        if not self.space.adds:
            model.fit(
                fold.x, fold.y, plan=self._plan, seed=self._seed, eras=fold.eras, watch=watch, further=fold.further
            )
            return
        watch.inside = bool(model.looks_inside)
        watch.holdout = fold.held_out.x if watch.inside else fold.both
        if fold.prepared is None:
            fold.prepared = model.prepare(fold.x, fold.y, plan=self._plan)
        try:
            model.fit(fold.x, fold.y, plan=self._plan, seed=self._seed, prepared=fold.prepared, watch=watch)
        finally:
            if self._plan.low_memory:
                fold.close()

    def close(self) -> None:
        """Give back memory and files."""
        for fold in self.folds:
            fold.close()


class _Watch:
    """Looks at one fit: sums what the new trees predict, scores it, and asks whether to go on."""

    def __init__(
        self,
        bench: Bench,
        looks: tuple[int, ...],
        number: int,
        finished: Sequence[npt.NDArray[np.float64]],
        report: Report,
        progress: Callable[[float], None],
    ) -> None:
        self._fold, self._folds, self._number = bench.folds[number], len(bench.folds), number
        self.looks, self._free, self._plan = looks, bench.space.length_free, bench.plan
        self._adds = bench.space.adds
        self._finished, self._report, self._progress = finished, report, progress
        self._sums = (np.zeros(len(self._fold.held_out.x)), np.zeros(len(self._fold.training.x)))
        self.every = looks[0]
        self.seen: list[tuple[float, float, float]] = []  # score, held-out CORR, training CORR
        self.given_up = False
        self.inside = True
        self.holdout: Codes = self._fold.held_out.x

    def __call__(self, length: int, model: Any) -> bool:
        """One look; True: stop."""
        if len(self.seen) == len(self.looks):
            return False
        held_out, training = self._predictions(model, length)
        if self._adds:
            held_out, training = self._sums[0] + held_out, self._sums[1] + training
        self._sums = (held_out, training)
        score, corr = self._fold.held_out.scores(self._sums[0])
        self.seen.append((score, corr, self._fold.training.corr(self._sums[1])))
        done = len(self.seen)
        self._progress((self._number + done / len(self.looks)) / self._folds)
        half = -(-len(self.looks) // 2)
        if done == len(self.looks) or (done == half and len(self.looks) > 1):
            step = 2 * self._number + (done == len(self.looks))
            self.given_up = self._report(step, self._so_far())
        return self.given_up

    def _predictions(self, model: Any, last: int) -> tuple[FloatArray, FloatArray]:
        """Of the held-out and of the training rows: what the new trees add, or what a network says."""
        first = last - self.every
        if not self._adds:
            held_out, training = (
                one.predicted_by(model, self._plan) for one in (self._fold.held_out, self._fold.training)
            )
            return held_out, training
        if self.inside:
            return (
                model.predict(self._fold.held_out.x, first, last),
                model.predict(self._fold.training.x, first, last),
            )
        both = model.predict(self.holdout, first, last)
        count = len(self._fold.held_out.x)
        return both[:count], both[count:]

    def _so_far(self) -> float:
        """The mean score over the folds so far, as long as this one is now, or at the best length up to that."""
        done = len(self.seen)
        curves = [*(one[:done, 0] for one in self._finished), np.asarray([one[0] for one in self.seen])]
        mean = np.mean(curves, axis=0)
        return float(mean.max() if self._free else mean[-1])


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(one) for one in value) if isinstance(value, list) else value
