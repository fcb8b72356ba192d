"""Which recipe a seat ships, and the looks at its challenger: remembered in the registry, in tags of the model.

A recipe is a name: `main` for the week's own ensemble, else that of one of `ensembles` in the settings. The looks
belong to one pair of recipes; a promotion begins them anew, so that the way back needs as much as the way there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eraflow.tracking.championseat import Seat
from eraflow.tracking.decisions import decided, note
from eraflow.tracking.mlflowlink import NothingThereError
from eraflow.tracking.registry import seats
from eraflow.tracking.tracking import Tracker
from eraflow.tracking.versions import NoVersionError

MOST_LOOKS = 60
"""More than a year of weeks: the tag must not grow for ever."""


@dataclass(frozen=True)
class SeatRecipe:
    """What a seat ships.

    Attributes:
        name: of the recipe; empty where nothing was decided yet.
        since_round: the first round that it counts for.
        looks: at the challenger since then, oldest first, as JSON values with `round_number` and `challenger`.
    """

    name: str = ""
    since_round: int = 0
    looks: tuple[Mapping[str, Any], ...] = ()


def read_recipe(tracker: Tracker, seat: Seat) -> SeatRecipe:
    """What the registry remembers of a seat; a tag that cannot be read is one that says nothing.

    Raises:
        TrackingError: MLflow cannot be read.
    """
    if not tracker.exists():
        return SeatRecipe()
    try:
        tags = dict(tracker.link.call("get_registered_model", tracker.settings.registered_model).tags)
    except NothingThereError:
        return SeatRecipe()
    try:
        told: Any = json.loads(tags.get(_tag(seat), "{}"))
        return SeatRecipe(str(told["name"]), int(told["since_round"]), tuple(dict(look) for look in told["looks"]))
    except (ValueError, KeyError, TypeError):
        return SeatRecipe()


def note_looks(tracker: Tracker, seat: Seat, recipe: SeatRecipe, looks: Sequence[Mapping[str, Any]]) -> None:
    """Remember the looks at the challenger.

    Raises:
        TrackingError: MLflow cannot be written.
    """
    _write(tracker, seat, SeatRecipe(recipe.name, recipe.since_round, tuple(looks)[-MOST_LOOKS:]))


def promote_recipe(tracker: Tracker, seat: Seat, name: str, since_round: int, version: int, why: str) -> None:
    """Let a seat ship another recipe from a round on; the decision is in the log before it has an effect.

    Args:
        tracker, seat: whose.
        name: of the recipe.
        since_round: the first round that it counts for.
        version: the champion of that time.
        why: for the log.

    Raises:
        TrackingError: MLflow cannot be written.
    """
    _make_model(tracker)
    note(
        tracker, seat, decided("recipe", version, f"{name}{f' from round {since_round}' if since_round else ''}: {why}")
    )
    _write(tracker, seat, SeatRecipe(name, since_round))


def choose_recipe(tracker: Tracker, name: str, slot: str | None, why: str) -> Seat:
    """Let a seat ship a recipe by hand; the looks at its challenger begin anew.

    Args:
        tracker: the registry.
        name: of the recipe.
        slot: name of the slot; None: the only one that has a champion.
        why: for the log.

    Raises:
        NoVersionError: no seat, or more than one, is meant.
        TrackingError: MLflow cannot be written.
    """
    there = seats(tracker)
    meant = [(seat, version) for seat, version, _ in there if slot in (None, seat.slot_name)]
    if len(meant) != 1:
        known = "; ".join(str(seat) for seat, _, _ in there) or "none"
        raise NoVersionError(f"{len(meant)} champions are meant, of {known}", "name a slot of these with --slot")
    seat, version = meant[0]
    promote_recipe(tracker, seat, name, 0, version, why or "chosen by hand")
    return seat


def _write(tracker: Tracker, seat: Seat, recipe: SeatRecipe) -> None:
    _make_model(tracker)
    told = {"name": recipe.name, "since_round": recipe.since_round, "looks": [dict(look) for look in recipe.looks]}
    tracker.link.call(
        "set_registered_model_tag",
        tracker.settings.registered_model,
        _tag(seat),
        json.dumps(told, separators=(",", ":")),
    )


def _make_model(tracker: Tracker) -> None:
    """A week that is held may look at a challenger before anything was ever shipped."""
    tracker.experiment_id()
    try:
        tracker.link.call("get_registered_model", tracker.settings.registered_model)
    except NothingThereError:
        name = tracker.settings.registered_model
        tracker.link.call("create_registered_model", name, description="Ensembles shipped by Eraflow")


def _tag(seat: Seat) -> str:
    return f"recipe-{seat.key}"
