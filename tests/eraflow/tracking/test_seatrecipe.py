"""The recipe that a seat ships, and the looks at its challenger, survive in the registry."""

import pytest

from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.championseat import Seat
from eraflow.tracking.decisions import read_log
from eraflow.tracking.registry import register_champion
from eraflow.tracking.seatrecipe import MOST_LOOKS, SeatRecipe, note_looks, promote_recipe, read_recipe
from eraflow.tracking.tracking import Tracker
from flows.command.cli import main

ALPHA, BETA = (Seat("numerai/v5.3", f"id-{name}", "target_ender_20", name) for name in ("alpha", "beta"))


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    return Tracker(tmp_path_factory.mktemp("home"), TrackingSettings())


def test_nothing_is_remembered_of_a_home_without_a_registry(tmp_path):
    assert read_recipe(Tracker(tmp_path, TrackingSettings()), ALPHA) == SeatRecipe()


def test_looks_are_remembered_and_a_promotion_begins_them_anew_and_is_in_the_log(tracker):
    looks = [{"round_number": number, "challenger": "c"} for number in range(MOST_LOOKS + 5)]
    note_looks(tracker, ALPHA, read_recipe(tracker, ALPHA), looks)
    assert [look["round_number"] for look in read_recipe(tracker, ALPHA).looks] == list(range(5, MOST_LOOKS + 5))
    assert read_recipe(tracker, BETA) == SeatRecipe()
    promote_recipe(tracker, ALPHA, "solo", 1405, 3, "it is better")
    assert read_recipe(tracker, ALPHA) == SeatRecipe("solo", 1405)
    [entry] = read_log(tracker, ALPHA)
    assert (entry.what, entry.version, entry.why) == ("recipe", 3, "solo from round 1405: it is better")


def test_a_recipe_is_chosen_by_hand_for_a_slot_that_has_a_champion(tracker, tmp_path, capfd):
    (tmp_path / "ensemble.json").write_text("{}")
    with tracker.run("week", kind="ensemble", tags={"signature": "abc"}) as run:
        pass
    register_champion(tracker, tmp_path, run.run_id, {"signature": "abc"}, seat=BETA)
    command = ["models", "recipe", "main", "--home", str(tracker.home)]
    assert main([*command, "--slot", "gamma"]) == 2
    assert "slot beta" in capfd.readouterr().err
    assert main([*command, "--slot", "beta", "--why", "the live scores"]) == 0
    assert read_recipe(tracker, BETA).name == "main"
    assert read_log(tracker, BETA)[-1].why == "main: the live scores"
