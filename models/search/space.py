"""The space that is searched for one member: the ranges that its learner states, less what the settings state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from eraflow.errors import SettingsError
from eraflow.kinds import SEARCHED, find
from models.base.ranges import Range, Suggests
from models.kinds import make_model, model_class

VERSION = 1
"""Raised when a space changes its meaning; trials of another version are not gone on with."""


class NotSearchedError(SettingsError):
    """There is nothing to search for in this kind of model. Leave it out of search.models."""

    code = "not_searched"


@dataclass(frozen=True)
class Space:
    """Everything that is searched for one member.

    Attributes:
        kind: of the model.
        given: the params of the settings; they are never searched.
        ranges: the others, in a fixed order.
        trees_name: the library's word for the number of trees.
        trees: trees of a trial.
        trees_free: whether the number of trees is to be found as well, because the settings do not state it.
    """

    kind: str
    given: Mapping[str, Any]
    ranges: tuple[Range, ...]
    trees_name: str
    trees: int
    trees_free: bool

    def suggest(self, trial: Suggests) -> dict[str, float]:
        """A value for each range."""
        return {one.name: one.suggest(trial) for one in self.ranges}

    def effective(self, suggested: Mapping[str, float], floor: float = 0.0) -> dict[str, float]:
        """The suggested values with the regularisers at or above their risen lower bounds."""
        return {one.name: one.floored(suggested[one.name], floor) for one in self.ranges}

    def clipped(self, params: Mapping[str, Any]) -> dict[str, float] | None:
        """Parameters found elsewhere, as values of this space; None when one is missing."""
        if any(one.name not in params for one in self.ranges):
            return None
        return {one.name: one.clipped(params[one.name]) for one in self.ranges}

    def defaults(self) -> dict[str, float]:
        """The values nearest to those of the unsearched model."""
        known = make_model(self.kind, self.given).params  # type: ignore[attr-defined]
        return {one.name: one.clipped(known.get(one.name, one.default or one.low)) for one in self.ranges}

    def params(self, effective: Mapping[str, float], trees: int | None = None) -> dict[str, Any]:
        """What a model is made with: the given parameters, the searched ones, and the number of trees if stated."""
        counted = {} if trees is None or not self.trees_free else {self.trees_name: trees}
        return {**self.given, **effective, **counted}

    def table(self) -> list[dict[str, Any]]:
        """The ranges with their reasons, for people."""
        return [
            {"parameter": one.name, "from": one.low, "to": one.high, "log": one.log, "why": one.why}
            for one in self.ranges
        ]


def space_for(kind: str, given: Mapping[str, Any], *, rows: int, features: int) -> Space:
    """The space of one member.

    Args:
        kind: one that is searched.
        given: params of the settings. What they state is not searched.
        rows: rows that the largest fold learns from.
        features: columns of the matrix.

    Raises:
        NotSearchedError: another kind of model, or everything is given.
        ModelSettingsError: a given parameter is wrong.
    """
    if not find(kind).searched:
        raise NotSearchedError(f"there is no space for models of kind {kind!r}", f"search {', '.join(SEARCHED)}")
    model = make_model(kind, given)
    cls = model_class(kind)
    stated = own_names(kind, given)
    rate = float(model.params[cls.rate_name])  # type: ignore[attr-defined]
    ranges = cls.search_ranges(rate, rows, features)
    searched = tuple(one for one in ranges if one.name not in stated)
    if not searched:
        raise NotSearchedError(
            f"the params of the {kind} model state everything that could be searched", "leave some of them out"
        )
    trees = int(model.params[cls.trees_name])  # type: ignore[attr-defined]
    return Space(kind, dict(given), searched, cls.trees_name, trees, cls.trees_name not in stated)


def own_names(kind: str, params: Mapping[str, Any]) -> set[str]:
    """The library's own names of `params`, whatever they are called there."""
    learner = model_class(kind)()
    return {learner._own_name(name) for name in params}


def without(kind: str, tuned: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The tuned parameters that `given` does not state under any name."""
    stated = own_names(kind, dict.fromkeys(given))
    return {name: value for name, value in tuned.items() if name not in stated}
