"""How long the training of a run's members will take, reckoned before anything starts.

Processor seconds are those of `TrainingPace` in eraflow/kinds.py times rows, columns, trees or updates, windows and
seeds, summed over the fits of a bag; a network of another size than the usual one takes as many times longer as it has
weights. A few assumptions stand beside them and are not measured: how well more than two cores share the work, and that
a GPU of the class of an RTX 3060 trains a network as fast as GPU_CORES cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eraflow.data.memberbag import planned_bag
from eraflow.kinds import UNKNOWN, Kind, find
from eraflow.machine.plan import MIN_BATCH_ROWS
from eraflow.machine.resources import Resources, roomiest_plan
from eraflow.settings.models import ModelSettings
from eraflow.settings.run import RunSettings
from eraflow.settings.windows import WindowSettings
from models.base.treecount import tree_count
from models.kinds import count_weights, model_class
from models.networks.eratargets import MOST_KEPT_ROWS
from models.networks.parameters import OF_TRAINING, TRAINING_DEFAULTS
from models.training.datasize import NUMERAI_SETS, DataSize

SHARED = 0.9
"""Of a core's work that is left to each where several share it; assumed."""
GPU_CORES = 20
"""Cores that train a network as fast as a GPU with 12 GB; assumed, no GPU was at hand."""
STAGE_SECONDS = 15.0
"""Of one core, to start a stage, import its libraries and write its files."""
MILLION = 1e6


@dataclass(frozen=True)
class Means:
    """What a training may use.

    Attributes:
        cores: of this computer, as far as the settings allow.
        gpu: whether networks are trained on one.
    """

    cores: int
    gpu: bool = False

    @classmethod
    def of(cls, resources: Resources, settings: RunSettings) -> Means:
        """Those of a run.

        Raises:
            NoGpuError: the settings ask for a GPU, and there is none.
        """
        plan = roomiest_plan(resources, settings.machine)
        return cls(plan.threads, plan.device == "cuda")

    def seconds(self, cpu: float, at_once: int) -> float:
        """Seconds of work that `at_once` threads can share at the most."""
        threads = min(self.cores, max(at_once, 1))
        return cpu / threads / (SHARED if threads > 1 else 1.0)

    def described(self) -> str:
        """In words."""
        return f"{self.cores} cores and " + ("a GPU" if self.gpu else "no GPU")


def member_hours(member: ModelSettings, size: DataSize, settings: RunSettings, means: Means) -> float | None:
    """Hours that the training of a member takes, all windows and the model for live; None: it is not known."""
    row = find(member.kind)
    if row.pace == UNKNOWN:
        return None
    reckoned = _network if row.neural else _trees
    seconds = sum(reckoned(row, fit, size, settings, means) for fit in _fits(member, size))
    return (STAGE_SECONDS + seconds) / 3600


def times_largest_fit(member: ModelSettings, size: DataSize, settings: RunSettings, means: Means) -> float | None:
    """How many times as long as its largest fit alone the training of a member takes; None: it is not known."""
    row = find(member.kind)
    if row.pace == UNKNOWN:
        return None
    reckoned = _network if row.neural else _trees
    seconds = [reckoned(row, fit, size, settings, means) for fit in _fits(member, size)]
    return sum(seconds) / max(seconds)


@dataclass(frozen=True)
class _Fit:
    """What is fitted in each window: the params, the share of the eras that it learns from, and columns."""

    params: Mapping[str, Any]
    share: float
    columns: int


def _fits(member: ModelSettings, size: DataSize) -> list[_Fit]:
    """One, or those of a bag; the sizes of its sets are Numerai's, as far as they are known."""
    bag = planned_bag(member.bag, member.kind, member.params)
    if bag is None:
        return [_Fit(member.params, 1.0, size.columns)]
    widths = [min(NUMERAI_SETS.get(one.name, size.columns), size.columns) for one in bag.sets]
    return [
        _Fit(recipe.params, 1 / recipe.era_step, width)
        for width in widths
        for recipe in bag.recipes
        for _ in range(recipe.era_step)
    ]


def _trees(row: Kind, fit: _Fit, size: DataSize, settings: RunSettings, means: Means) -> float:
    shares = window_shares(settings.windows)
    learnt = fit.share * sum(shares) * size.rows / settings.data.era_stride
    each = row.pace.learnt + row.pace.learnt_column * fit.columns
    judged = _judged_rows(size, settings) * (row.pace.judged + row.pace.judged_column * fit.columns)
    return means.seconds((learnt * each + judged) * tree_count(fit.params) / MILLION, means.cores)


def _network(row: Kind, fit: _Fit, size: DataSize, settings: RunSettings, means: Means) -> float:
    params, pace, folds = _of_training(row, fit.params), row.pace, settings.windows.folds
    each = float(params["seeds"]) * _times_larger(row, fit.params, fit.columns) / MILLION
    # All fits but the last one, for live, are stopped by eras that are kept back.
    learnt = float((folds + 1) * params["updates"] * params["batch_size"])
    kept = (
        params["validation_share"] * share * fit.share * size.rows for share in window_shares(settings.windows)[:-1]
    )
    looked: float = sum(min(rows, MOST_KEPT_ROWS) for rows in kept) * params["updates"] / params["check_every"]
    learning = learnt * each * (pace.learnt + pace.learnt_column * fit.columns)
    looking = looked * each * (pace.looked + pace.looked_column * fit.columns)
    judging = _judged_rows(size, settings) * each * (pace.judged + pace.judged_column * fit.columns)
    if means.gpu:
        return (learning + looking) / GPU_CORES + means.seconds(judging, means.cores)
    pieces = params["batch_size"] // MIN_BATCH_ROWS
    return means.seconds(learning, pieces) + means.seconds(looking, 1) + means.seconds(judging, means.cores)


def _of_training(row: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the training; a wrong one is named where the model is made, the usual one stands in for it."""
    usual = {**TRAINING_DEFAULTS, **model_class(row.name).defaults}
    return {
        name: given[name] if name in given and accepts(given[name]) else usual[name]
        for name, (accepts, _) in OF_TRAINING.items()
    }


def _times_larger(row: Kind, params: Mapping[str, Any], columns: int) -> float:
    """Its weights over those of the usual size, or 1 where that is not to be counted."""
    usual = count_weights(row.name, {}, columns)
    return count_weights(row.name, params, columns) / usual if usual else 1.0


def _judged_rows(size: DataSize, settings: RunSettings) -> float:
    return (1 - settings.windows.first_test_fraction) * size.rows


def window_shares(windows: WindowSettings) -> list[float]:
    """Of all rows, what each window learns from, then the model for live; a sliding window is taken as the first."""
    first = windows.first_test_fraction
    if windows.kind == "sliding":
        return [first] * (windows.folds + 1)
    return [first + (1 - first) * number / windows.folds for number in range(windows.folds)] + [1.0]
