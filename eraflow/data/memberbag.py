"""A member that is the average of several fits: which parameters, eras and features each of them has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eraflow.errors import EraflowError
from eraflow.settings.bag import OTHER_NAMES, OTHERWISE, RUN, STANDARD, BagRecipe, BagSettings
from eraflow.settings.features import in_short, signed, terms


class BagFeaturesError(EraflowError):
    """A bag is to learn from a set of features that the run does not learn from. Set data.features to hold it."""

    code = "bag_features"
    exit_code = 2


@dataclass(frozen=True)
class FitRecipe:
    """Fits with the same parameters.

    Attributes:
        params: all that is stated for them, of the recipe and of the member.
        era_step: so many fits, each on every so manieth era.
    """

    params: dict[str, Any]
    era_step: int = 1


@dataclass(frozen=True)
class FeatureSet:
    """Features of the era store that fits learn from.

    Attributes:
        name: as the settings call it.
        features: None: all of the store.
    """

    name: str
    features: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Bag:
    """Every recipe, on every set of features.

    Attributes:
        recipes: in their order.
        sets: in their order, which numbers the fits.
    """

    recipes: tuple[FitRecipe, ...]
    sets: tuple[FeatureSet, ...]

    @property
    def fits(self) -> int:
        """How many there are."""
        return sum(recipe.era_step for recipe in self.recipes) * len(self.sets)

    def in_words(self) -> str:
        """For people."""
        over = "" if len(self.sets) == 1 else f" over {' and '.join(each.name for each in self.sets)}"
        return f"bag of {self.fits} fits{over}"


def recipes_of(bag: BagSettings, kind: str, params: Mapping[str, Any]) -> tuple[FitRecipe, ...]:
    """The recipes of a bag, with the params of their fits.

    Those that the settings state lie over the member's own params. The usual ones lie below these, so that what is said
    of a member always counts, whichever of its names a parameter is given by; usual recipes that become alike by it are
    fitted once. Where only sets are named, there is one recipe, of the member's params alone.
    """
    if bag.recipes:
        return tuple(FitRecipe({**params, **one.params}, one.era_step) for one in bag.recipes)
    usual = STANDARD.get(kind, OTHERWISE) if bag.standard else (BagRecipe(),)
    found: list[FitRecipe] = []
    for one in usual:
        recipe = FitRecipe({**_not_stated(kind, one.params, params), **params}, one.era_step)
        if recipe not in found:
            found.append(recipe)
    return tuple(found)


def _not_stated(kind: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Of params of a usual recipe, those that `above` does not state under any name."""
    others = OTHER_NAMES.get(kind, {})
    return {name: value for name, value in below.items() if not ({name, *others.get(name, ())} & above.keys())}


def planned_bag(bag: BagSettings, kind: str, params: Mapping[str, Any]) -> Bag | None:
    """A member's bag as far as the settings tell of it, before the data are known: its sets have names alone.

    Args:
        bag: the settings.
        kind: of the model.
        params: the member's own.

    Returns:
        None: the member is no bag.
    """
    if not bag.wanted:
        return None
    names = dict.fromkeys(bag.feature_sets or [RUN])
    return Bag(recipes_of(bag, kind, params), tuple(FeatureSet(name) for name in names))


def cut_bag(
    bag: BagSettings,
    kind: str,
    params: Mapping[str, Any],
    features: Sequence[str],
    sets: Mapping[str, Sequence[str]],
    asked: str | Sequence[str],
) -> Bag | None:
    """A member's bag as the data of the run allow it; None: it is none.

    Args:
        bag: the settings.
        kind: of the model.
        params: the member's own.
        features: that the run learns from, in the order of the era store.
        sets: of features.json.
        asked: the setting `data.features`. What it takes away is taken from the sets, too.

    Raises:
        BagFeaturesError: a set is not there, the run does not hold it, or nothing of it is left.
    """
    planned = planned_bag(bag, kind, params)
    if planned is None or not bag.feature_sets:
        return planned
    held = (FeatureSet(one.name, _held(one.name, features, sets, asked)) for one in planned.sets)
    return replace(planned, sets=tuple(held))


def _held(
    name: str, features: Sequence[str], sets: Mapping[str, Sequence[str]], asked: str | Sequence[str]
) -> tuple[str, ...] | None:
    if name == RUN and RUN not in sets:
        return None
    if name not in sets:
        raise BagFeaturesError(
            f"a bag names the set {name[:80]!r}, which features.json does not have",
            f"name some of {', '.join([RUN, *list(sets)[:30]])} in bag.feature_sets",
        )
    wanted = set(sets[name])
    found = tuple(one for one in features if one in wanted)
    takes_away = any(not signed(term)[0] for term in terms(asked))
    if not found or (len(found) < len(wanted) and not takes_away):
        raise BagFeaturesError(
            f"a bag is to learn from {name} ({len(wanted)} features), and data.features={in_short(asked)} holds "
            f"{len(found)} of them",
            f"set data.features to {name} or to what holds it, for example all; the others may keep theirs as a bag "
            "of one recipe with bag.feature_sets",
        )
    return found
