"""A member of the ensemble, and which eras it may learn from when it learns something else than the run's own target.

Everybody is judged on the same eras. What lies before them is a matter of the target that is learnt: its own horizon's
purge, its own resolved eras, and, for a residual, the eras that the benchmark covers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eraflow.data.contract import Contract
from eraflow.data.eras import Window, era_number, eras_before, final_eras, member_purge, windows_before
from eraflow.data.memberbag import Bag, recipes_of
from eraflow.errors import EraflowError
from eraflow.machine.job import Added
from eraflow.settings.models import ModelSettings
from eraflow.settings.windows import WindowSettings

LEAST_RESIDUAL_ERAS = 10
"""As many as the shortest sliding window that the settings allow."""
LARGEST_FRACTION = 0.95
"""Of `windows.first_test_fraction`."""


class BenchmarkCoverageError(EraflowError):
    """The benchmark covers too few eras before a judged era for a member that learns what it leaves over."""

    code = "benchmark_coverage"
    exit_code = 2


@dataclass(frozen=True)
class Member:
    """A model of the ensemble with everything that decides what it learns.

    Attributes:
        kind, name, params: of the model.
        target: explicit name of what is learnt; rows where it is NaN teach nothing but are predicted.
        windows: what it learns from and is judged on, in order of the judged eras.
        final_eras: what the fit for live learns from.
        benchmark: column whose residual is learnt (see eraflow/scoring/residual.py); None: the target itself.
        features: chosen for each window, then for live; None: all of the store.
        source: of a user's own kind, the sha256 of its source, and no other is trained; empty: it is one of Eraflow's.
        also: further targets, with the weight of each in the loss; for networks.
        groups: name -> the named groups of features, for a kind that learns by groups; None for the others.
        bag: the fits that it is the average of; None: it is one fit.
    """

    kind: str
    name: str
    params: dict[str, Any]
    target: str
    windows: tuple[Window, ...]
    final_eras: tuple[str, ...]
    benchmark: str | None = None
    features: tuple[tuple[str, ...], ...] | None = None
    source: str = ""
    groups: dict[str, tuple[str, ...]] | None = None
    also: dict[str, float] = field(default_factory=dict)
    bag: Added[Bag | None] = None

    @property
    def learns(self) -> str:
        """What it learns, and as what of several fits, for people."""
        besides = "".join(f" and {weight:g} x {target}" for target, weight in self.also.items())
        bag = "" if self.bag is None else f" as a {self.bag.in_words()}"
        return (self.target if self.benchmark is None else f"{self.target} beyond {self.benchmark}") + besides + bag


def cut_member(
    contract: Contract, judged: Sequence[Window], model: ModelSettings, cut: WindowSettings, stride: int
) -> Member:
    """A member as the settings have it, its windows cut; arguments and errors as for `member_windows`."""
    return Member(
        kind=model.kind,
        name=model.name,
        params=dict(model.params),
        target=target_of(contract, model),
        windows=member_windows(contract, judged, model, cut, stride),
        final_eras=member_final_eras(contract, model, cut, stride),
        benchmark=contract.benchmark if model.learn == "residual" else None,
        also=dict(model.also_learn),
    )


def with_params_of(member: Member, model: ModelSettings) -> Member:
    """A member with the params and recipes that a model has now, after a search perhaps; its eras and sets stay."""
    bag = member.bag
    if bag is not None:
        bag = replace(bag, recipes=recipes_of(model.bag, model.kind, model.params))
    return replace(member, params=dict(model.params), bag=bag)


def target_of(contract: Contract, model: ModelSettings) -> str:
    """The column that a member learns."""
    return model.target or contract.target


def longest_horizon(contract: Contract, model: ModelSettings) -> int:
    """Of all that a member learns, in trading days: the labels that reach farthest decide its purge."""
    return max(contract.horizon_of(target) for target in (target_of(contract, model), *model.also_learn))


def known_eras(contract: Contract, model: ModelSettings) -> tuple[str, ...]:
    """Eras in which a member's target is resolved and, for a residual, the benchmark known; in order."""
    eras = contract.eras_of(target_of(contract, model))
    if model.learn == "target":
        return eras
    covered = set(contract.benchmark_eras)
    return tuple(era for era in eras if era in covered)


def member_windows(
    contract: Contract, judged: Sequence[Window], model: ModelSettings, cut: WindowSettings, stride: int
) -> tuple[Window, ...]:
    """The windows of a member: the judged eras of `judged`, and before them what its own purge allows.

    Args:
        contract: of the data.
        judged: the windows of the run's own target.
        model: the member.
        cut: how windows are cut.
        stride: learn from every n-th era.

    Raises:
        TooFewErasError, BenchmarkCoverageError: a window is left with too little.
    """
    target, horizon = target_of(contract, model), longest_horizon(contract, model)
    own = target == contract.target and model.learn == "target"
    if own and horizon <= contract.horizon_days:
        return tuple(judged)
    eras = known_eras(contract, model)
    if model.learn == "residual":
        _check_coverage(contract, eras, judged[0].test[0], member_purge(horizon, cut.purge_weeks), model.name)
    return tuple(windows_before(judged, eras, horizon, cut, stride=stride))


def member_final_eras(contract: Contract, model: ModelSettings, cut: WindowSettings, stride: int) -> tuple[str, ...]:
    """What a member's model for live learns from: every era of `known_eras`, thinned by `stride`.

    One that adapts a base needs the same eras in every week: what is left out must not change, or there would be
    another base each time.
    """
    adapts = model.params.get("adapt", "none") != "none"
    return final_eras(known_eras(contract, model), cut, stride=stride, from_first=adapts)


def _check_coverage(contract: Contract, eras: Sequence[str], first_test: str, purge: int, name: str) -> None:
    """The first window is the shortest; what is enough for it is enough for all."""
    found = eras_before(eras, first_test, purge)
    if len(found) >= LEAST_RESIDUAL_ERAS:
        return
    span = f"eras {eras[0]} to {eras[-1]}" if eras else "no era"
    raise BenchmarkCoverageError(
        f"{name} learns what the benchmark leaves over, and the benchmark covers {span}: {len(found)} eras before the "
        f"first judged era {first_test} and its purge of {purge} weeks, at least {LEAST_RESIDUAL_ERAS} are needed",
        _later_judging(contract.resolved_eras, eras, purge) + "set learn=target for it",
    )


def _later_judging(resolved: Sequence[str], covered: Sequence[str], purge: int) -> str:
    """From which fraction of the eras on judging would have to begin, as far as the settings allow one."""
    if len(covered) < LEAST_RESIDUAL_ERAS:
        return ""
    limit = era_number(covered[LEAST_RESIDUAL_ERAS - 1]) + purge
    fraction = math.ceil(100 * sum(era_number(era) <= limit for era in resolved) / len(resolved)) / 100
    return f"set windows.first_test_fraction to {fraction} or more, or " if fraction < LARGEST_FRACTION else ""
