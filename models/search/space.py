"""The space that is searched for one member: the ranges that its learner states, less what the settings state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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
        length_name: the kind's word for the number of trees, or of updates.
        length: of a trial, where it is not searched like the others.
        length_free: whether the best length is read off on the way, because the settings do not state it. Trees stay
            what they are when more follow; of a network the rate falls with its length, which is searched instead.
        adds: see `models.base.searched.Searched`.
        fixed: what all but the defaults have besides.
    """

    kind: str
    given: Mapping[str, Any]
    ranges: tuple[Range, ...]
    length_name: str
    length: int
    length_free: bool
    adds: bool = True
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def suggest(self, trial: Suggests) -> dict[str, float]:
        """A value for each range."""
        return {one.name: one.suggest(trial) for one in self.ranges}

    def effective(self, suggested: Mapping[str, float], floor: float = 0.0) -> dict[str, float]:
        """The suggested values with the regularisers at or above their risen lower bounds."""
        return {one.name: one.used(one.floored(suggested[one.name], floor)) for one in self.ranges}

    def clipped(self, params: Mapping[str, Any]) -> dict[str, float] | None:
        """Parameters found elsewhere, as values of this space; None when one is missing."""
        if any(one.name not in params for one in self.ranges):
            return None
        return {one.name: one.clipped(params[one.name]) for one in self.ranges}

    def defaults(self) -> dict[str, float]:
        """The values nearest to those of the unsearched model."""
        known = make_model(self.kind, self.given).params  # type: ignore[attr-defined]
        return {one.name: one.clipped(known.get(one.name, one.default or one.low)) for one in self.ranges}

    def params(self, effective: Mapping[str, float], length: int | None = None) -> dict[str, Any]:
        """What a model is made with: the given parameters, the searched ones, and the length that was read off.

        Args:
            effective: see the method of this name; empty: the defaults.
            length: of the model; None: as the parameters have it.
        """
        counted = {} if length is None or not self.length_free else {self.length_name: length}
        own = {one.name: one.as_param(effective[one.name]) for one in self.ranges if one.name in effective}
        return {**(self.fixed if effective else {}), **self.given, **own, **counted}

    def length_of(self, params: Mapping[str, Any]) -> int:
        """How long a model with these parameters is trained, as far as nobody stops it."""
        return int(params.get(self.length_name, self.length))

    def starting_points(self) -> list[dict[str, float]]:
        """With what a search begins beside the defaults: values of this space."""
        known = self.defaults()
        found = (self.clipped({**known, **point}) for point in model_class(self.kind).starting_points)
        return [values for values in found if values is not None]

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
    ranges = cls.search_ranges(model.params, rows, features)  # type: ignore[attr-defined]
    searched = tuple(one for one in ranges if one.name not in stated)
    if not searched:
        raise NotSearchedError(
            f"the params of the {kind} model state everything that could be searched", "leave some of them out"
        )
    name = cls.length_name
    length = int(model.params[name])  # type: ignore[attr-defined]
    free = cls.looks_add and name not in stated
    return Space(kind, dict(given), searched, name, length, free, cls.looks_add, dict(cls.searched_with))


def largest_params(kind: str, given: Mapping[str, Any], *, rows: int, features: int) -> dict[str, Any]:
    """Params of the largest network of the space, for what is expected of its memory; for boosters those given.

    Raises:
        NotSearchedError, ModelSettingsError: as for `space_for`.
    """
    if not find(kind).neural:
        return dict(given)
    space = space_for(kind, given, rows=rows, features=features)
    return space.params({one.name: one.clipped(one.high) for one in space.ranges})


def own_names(kind: str, params: Mapping[str, Any]) -> set[str]:
    """The library's own names of `params`, whatever they are called there."""
    learner = model_class(kind)()
    return {learner._own_name(name) for name in params}


def without(kind: str, tuned: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The tuned parameters that `given` does not state under any name."""
    stated = own_names(kind, dict.fromkeys(given))
    return {name: value for name, value in tuned.items() if name not in stated}
