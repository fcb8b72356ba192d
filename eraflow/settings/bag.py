"""A member that is a bag: the average of several fits of one learner, and what such a bag is made of as a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, JsonValue

from eraflow.settings.section import Section

MOST_STEP = 16
RUN = "run"
"""Stands for the features that the run learns from, among the sets of a bag."""


class BagRecipe(Section):
    """Some of the fits of a bag: with the same parameters, each on other eras."""

    params: dict[str, JsonValue] = Field(
        default_factory=dict, description="Overrides of the member's own params, for the fits of this recipe."
    )
    era_step: int = Field(
        1,
        ge=1,
        le=MOST_STEP,
        description="1: one fit on all eras. n: n fits, each on every n-th era, the first from the first era on, the "
        "second from the second on, and so forth.",
    )


class BagSettings(Section):
    """A member may be a bag: the average of the ranks, within each era, of several fits of its learner."""

    standard: bool = Field(
        False,
        description="The usual bag of the learner, where `recipes` names none: very different capacities, and fits on "
        "every fourth era.",
    )
    recipes: list[BagRecipe] = Field(
        default_factory=list,
        max_length=64,
        description='What is fitted: [{"params": {"n_estimators": 500}, "era_step": 4}]. Empty: the usual bag, or no '
        "bag.",
    )
    feature_sets: list[str] = Field(
        default_factory=list,
        max_length=16,
        description=f"Every recipe is fitted on each of these sets of features.json; {RUN}: the features of the run, "
        "which have to hold the others. Each set more takes as long again. Empty: the run's.",
    )

    @property
    def wanted(self) -> bool:
        """Whether there is to be a bag."""
        return self.standard or bool(self.recipes) or bool(self.feature_sets)


def _recipe(step: int = 1, **params: JsonValue) -> BagRecipe:
    return BagRecipe(params=params, era_step=step)


_EVERY_FOURTH = 4
"""Labels that reach 20 days overlap for four weeks: every fourth era is nearly free of that."""
_XGBOOST: dict[str, Any] = {"n_estimators": 500, "learning_rate": 0.01, "max_depth": 5, "colsample": 0.1}
_CATBOOST: dict[str, Any] = {"n_estimators": 300, "learning_rate": 0.03, "max_depth": 5, "colsample": 0.2}
STANDARD: Mapping[str, tuple[BagRecipe, ...]] = {
    # The tournament's example settings (the learner's own), a quarter of their trees on every fourth era, and small
    # trees on every fourth era.
    "lightgbm": (
        _recipe(n_estimators=2000, learning_rate=0.01, max_depth=5, num_leaves=31, colsample=0.1),
        _recipe(_EVERY_FOURTH, n_estimators=500, learning_rate=0.01, max_depth=5, num_leaves=31, colsample=0.1),
        _recipe(_EVERY_FOURTH, n_estimators=300, learning_rate=0.02, max_depth=3, num_leaves=8, colsample=0.1),
    ),
    "xgboost": (_recipe(**_XGBOOST), _recipe(_EVERY_FOURTH, **_XGBOOST)),
    "catboost": (_recipe(_EVERY_FOURTH, **_CATBOOST),),
}
"""What the usual bag of a kind is made of; the member's own params lie over these. See docs/models.md."""
OTHER_NAMES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "lightgbm": {
        "n_estimators": frozenset(
            {"num_iterations", "num_iteration", "n_iter", "num_tree", "num_trees", "num_round", "num_rounds"}
            | {"nrounds", "num_boost_round", "max_iter"}
        ),
        "learning_rate": frozenset({"eta", "shrinkage_rate"}),
        "num_leaves": frozenset({"num_leaf", "max_leaf", "max_leaves", "max_leaf_nodes"}),
        "colsample": frozenset({"feature_fraction", "sub_feature", "colsample_bytree"}),
    },
    "xgboost": {
        "n_estimators": frozenset({"iterations", "num_iterations", "num_boost_round"}),
        "learning_rate": frozenset({"eta"}),
        "colsample": frozenset({"colsample_bytree"}),
    },
    "catboost": {
        "n_estimators": frozenset({"iterations", "num_iterations", "num_boost_round", "num_trees"}),
        "learning_rate": frozenset({"eta"}),
        "max_depth": frozenset({"depth"}),
        "colsample": frozenset({"rsm", "colsample_bylevel", "colsample_bytree"}),
    },
}
"""What the libraries also call the parameters that the usual recipes state. Here, because the libraries know it only
once they are imported, which is not done to read settings; the tests compare it with them."""
OTHERWISE = (_recipe(_EVERY_FOURTH),)
"""Of the other kinds, networks and a user's own: their own params, on every fourth era."""


def is_bag(value: Any) -> bool:
    """Whether a value of the setting `bag`, as JSON or as a section, asks for a bag."""
    if isinstance(value, BagSettings):
        return value.wanted
    return isinstance(value, Mapping) and any(value.get(name) for name in BagSettings.model_fields)
