"""What is searched for each booster: every range with its reason.

Sources of the ranges: the tournament's published example settings (2,000 trees, rate .01, depth 5, 31 leaves, a tenth
of the features) and its deep settings (30,000 trees, rate .001, depth 10, 1,024 leaves, 10,000 rows a leaf, a tenth of
the features), between which they lie; and the libraries' own pages on tuning (LightGBM "Parameters Tuning", XGBoost
"Notes on Parameter Tuning", CatBoost "Parameter tuning").

Not searched, with reasons: the number of trees (every trial is looked at on its way, and the best number is read off);
the sampling of rows (in these data it costs score and saves little); L1 penalties and the least gain of a split (they
do what a penalty of squares and a least number of rows in a leaf do already, and 60 trials fill few dimensions).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eraflow.errors import SettingsError
from models.kinds import make_model, model_class

VERSION = 1
"""Raised when a space changes its meaning; trials of another version are not gone on with."""
LEAF_SHARE = 0.01
"""A leaf, or a penalty counted in rows, of more than a hundredth of the rows leaves nothing to learn; the deep
settings' 10,000 rows are a 270th of Numerai's."""
FEWEST_FEATURES = 3
"""A tree that may look at fewer features finds no interaction."""


class NotSearchedError(SettingsError):
    """There is nothing to search for in this kind of model. Leave it out of search.models."""

    code = "not_searched"


class Suggests(Protocol):
    """What of an Optuna trial is used."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """A number of the range."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """A whole number of the range."""


@dataclass(frozen=True)
class Range:
    """One searched parameter.

    Attributes:
        name: in the library's own words.
        low, high: both included.
        why: the reason of the range.
        log: whether ratios count, not differences.
        integer: whole numbers only.
        regulariser: more of it means a tamer model; its lower bound rises when the gap grows (see `objective`).
        default: what the library takes when nothing is said and the model's own defaults do not say it either.
    """

    name: str
    low: float
    high: float
    why: str
    log: bool = True
    integer: bool = False
    regulariser: bool = False
    default: float | None = None

    def suggest(self, trial: Suggests) -> float:
        """A value, drawn by the study's sampler; always from the whole range, so that the space never changes."""
        if self.integer:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def clipped(self, value: float) -> float:
        """`value` within the range, whole where it has to be."""
        inside = min(max(float(value), self.low), self.high)
        return round(inside) if self.integer else inside

    def floored(self, value: float, share: float) -> float:
        """`value`, or the lower bound when that has risen by `share` (0 to 1) of the logarithmic range above it."""
        if not self.regulariser or share <= 0:
            return value
        floor = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.clipped(max(value, floor))


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
        kind: lightgbm, xgboost or catboost.
        given: params of the settings. What they state is not searched.
        rows: rows that the largest fold learns from.
        features: columns of the matrix.

    Raises:
        NotSearchedError: another kind of model, or everything is given.
        ModelSettingsError: a given parameter is wrong.
    """
    if kind not in RANGES:
        raise NotSearchedError(f"there is no space for models of kind {kind!r}", f"search {', '.join(RANGES)}")
    model = make_model(kind, given)
    cls = model_class(kind)
    stated = own_names(kind, given)
    rate = float(model.params[cls.rate_name])  # type: ignore[attr-defined]
    ranges = RANGES[kind](rate, rows, features)
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


def _rate(name: str, rate: float) -> Range:
    return Range(
        name,
        rate / 4,
        min(rate * 5, 0.5),
        "rate times trees is the way a model goes: 20 in the example settings, 30 in the deep ones; from a quarter to "
        "five times that of the unsearched model, and the number of trees ends the way earlier",
    )


def _columns(name: str, features: int) -> Range:
    low = min(max(0.03, FEWEST_FEATURES / features), 0.5)
    return Range(
        name, low, 0.6, "features are redundant and noisy: a tenth is the example; above .6 trees grow alike and slow"
    )


def _leaf_rows(name: str, rows: int, default: float) -> Range:
    return Range(
        name,
        20,
        max(100.0, rows * LEAF_SHARE),
        "the target is almost noise, so a leaf needs many rows; from the library's default to a hundredth of the rows",
        integer=True,
        regulariser=True,
        default=default,
    )


def _squares(name: str, rows: int, default: float) -> Range:
    return Range(
        name,
        1.0,
        max(100.0, rows * LEAF_SHARE),
        "with squared error it counts in rows: so many rows at the mean are added to each leaf",
        regulariser=True,
        default=default,
    )


def _depth(name: str) -> Range:
    return Range(
        name, 3, 8, "depth is the order of interactions: 5 in the example, 10 in the deep settings; below 3 there are "
        "hardly any, above 8 a leaf has too few rows", log=False, integer=True,
    )  # fmt: skip


def _lightgbm(rate: float, rows: int, features: int) -> tuple[Range, ...]:
    leaves = Range(
        "num_leaves", 8, 255, "31 in the example, 1,024 in the deep settings; time grows with it", integer=True
    )
    return (
        _rate("learning_rate", rate),
        leaves,
        _depth("max_depth"),
        _columns("feature_fraction", features),
        _leaf_rows("min_data_in_leaf", rows, 20),
        _squares("lambda_l2", rows, 0.0),
    )


def _xgboost(rate: float, rows: int, features: int) -> tuple[Range, ...]:
    return (
        _rate("learning_rate", rate),
        _depth("max_depth"),
        _columns("colsample_bytree", features),
        _leaf_rows("min_child_weight", rows, 1),
        _squares("lambda", rows, 1.0),
    )


def _catboost(rate: float, rows: int, features: int) -> tuple[Range, ...]:
    strength = Range(
        "random_strength",
        0.1,
        10.0,
        "noise on the scores of splits, fading as the model grows; a tenth to ten times the default",
        regulariser=True,
        default=1.0,
    )
    return (
        _rate("learning_rate", rate),
        _depth("depth"),
        _columns("rsm", features),
        _squares("l2_leaf_reg", rows, 3.0),
        strength,
    )


RANGES: dict[str, Callable[[float, int, int], tuple[Range, ...]]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
}
