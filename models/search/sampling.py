"""The sampler and the pruner of a search: TPE with a seed of its own for each trial, and halving."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from models.base.seeds import derived_seed

RANDOM_TRIALS = 10
"""Trials before the sampler learns from them; the library's own number."""
UNPRUNED = 8
"""So many trials must have reached a step before another one is given up there."""
KEPT_INSIDE, KEPT_AT_END = 0.65, 0.5
"""Share of the trials that go on after half of the trees of a fold, and after all of them. Half the way is a biased
view: it favours those that learn fast. So less is given up there."""

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
"""What counts against the number of trials. A failed one is done again under another number."""


def position_of(study: Study, number: int) -> int:
    """The place of a trial among those that count: its number less the failed ones before it.

    A trial that is done again after a kill has the place of the one it stands for, so in a single process a search
    that was killed and resumed proposes what an undisturbed one would.
    """
    return sum(1 for trial in study.get_trials(deepcopy=False, states=COUNTED) if trial.number < number)


class PlacedSampler(BaseSampler):  # type: ignore[misc]
    """TPE whose random numbers depend on seed and place of the trial, not on what this process has sampled before.

    Args:
        seed: of the search.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._inner = _tpe(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin anew for this trial."""
        self._inner = _tpe(derived_seed(self._seed, position_of(study, trial.number)))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is sampled jointly."""
        return dict(self._inner.infer_relative_search_space(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Joint sampling."""
        return dict(self._inner.sample_relative(study, trial, search_space))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sampling of one parameter by itself."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Nothing is kept."""
        self._inner.after_trial(study, trial, state, values)


def _tpe(seed: int) -> TPESampler:
    return TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)


class HalvingPruner(BasePruner):  # type: ignore[misc]
    """Gives up a trial that is not among the better part of all that have come as far.

    Successive halving without rungs to be filled first (as ASHA; Li and others, "A System for Massively Parallel
    Hyperparameter Tuning", MLSys 2020): each step compares with whoever has reached it. Step 2k is half of the trees of
    fold k, step 2k + 1 all of them. Trials that were given up at a step count there, so the bar does not rise with the
    quality of the survivors alone.
    """

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether `trial` is to be given up at its last step."""
        step = trial.last_step
        if step is None or trial.user_attrs.get("origin") == "defaults":
            return False
        others = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        values = [one.intermediate_values[step] for one in others if step in one.intermediate_values]
        return falls_behind(trial.intermediate_values[step], values, KEPT_AT_END if step % 2 else KEPT_INSIDE)


def falls_behind(value: float, others: Sequence[float], kept: float) -> bool:
    """Whether `value` lies below the better `kept` part of `others`; never while they are few."""
    if len(others) < UNPRUNED:
        return False
    return value < float(np.quantile(np.asarray(others), 1 - kept))


class NoPruner(BasePruner):  # type: ignore[misc]
    """Gives up nothing."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Never."""
        return False


def quiet_optuna() -> None:
    """Optuna's own lines would tell each trial a second time."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def importances(study: Study, scores: Mapping[int, float]) -> dict[str, float]:
    """How much each parameter decides whether a trial is among the best quarter (PED-ANOVA), adding up to 1.

    Args:
        study: the finished study.
        scores: trial number -> its value under one common penalty.

    Returns:
        Empty where there are too few completed trials to tell.
    """
    if len(scores) < 4 or len(set(scores.values())) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it reminds that it takes less for better
        found = optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25),
            target=lambda trial: -scores.get(trial.number, trial.value),
        )
    return {name: float(share) for name, share in found.items()}
