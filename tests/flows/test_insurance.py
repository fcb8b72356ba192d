"""What a week does before its round opens, and what is sent in its place shortly before the round closes."""

import json
import time
from pathlib import Path

import pytest
import requests

import flows.weekly
from eraflow.runs.insurance import FOLDER
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from eraflow.settings.source import SandboxSettings
from flows.daily import daily
from flows.weekly import weekly
from tests.weeks import TINY, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]
HALF_AN_HOUR = 1800  # less than the 60 minutes of round.insurance_minutes
OTHER = [{"kind": "lightgbm", "params": {"n_estimators": 25, "learning_rate": 0.1}}]
FIRST = {"model": "eraflow"}
SECOND = [{"name": "twin", "slot": "second"}]  # the same ensemble for a second slot


class World:
    """A tournament of one slot, and a home with a champion."""

    def __init__(self, url, home):
        self.url, self.home, self.number = url, home, 2000

    def open_round(self, **spec):
        """The next round; by default it closes in half an hour."""
        self.number += 1
        usual = {"state": "open", "open_seconds": HALF_AN_HOUR, "multipliers": {"corr60": 3.0, "mmc60": 15.0}}
        self.post("round", {**usual, "number": self.number, **spec})

    def post(self, switch, values):
        requests.post(f"{self.url}/sandbox/{switch}", json=values, timeout=10).raise_for_status()

    def received(self):
        """What was filed for this round, the oldest first: (sha256, whether it counts)."""
        found = requests.get(f"{self.url}/sandbox/submissions", timeout=10).json()
        first = next(row["model"] for row in found)  # of the first week, whose own ensemble is sent last
        mine = [row for row in found if row["round"] == self.number]
        return [(row["sha256"], row["selected"]) for row in mine if row["model"] != first]

    def received_by_second(self):
        """What was filed for the second slot in this round."""
        found = requests.get(f"{self.url}/sandbox/submissions", timeout=10).json()
        first = next(row["model"] for row in found)
        return [row["sha256"] for row in found if row["round"] == self.number and row["model"] == first]

    def settings(self, name, **changes):
        source = {"url": self.url, "call_seconds": 5, "attempts": 3}
        usual = {"run_dir": str(self.home / name), "source": source, "tracking": {"enabled": True}, "submit": FIRST}
        return tiny(self.home, **{**usual, **changes})


@pytest.fixture(scope="module")
def world(tmp_path_factory, prefect_server):
    home, server = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("server")
    data = generate(server / "data", SandboxSettings(**TINY["sandbox"]), version="v5.3")
    with sandbox(data, server / "state", models=("eraflow", "second")) as address:
        yield World(address.url, home)


@pytest.fixture(scope="module")
def champion(world):
    """The hash of the champion's prediction; its week began before the round was open."""
    world.open_round(state="closed")
    hurried = world.settings("first", round={"wait_minutes": 0.01, "poll_seconds": 0.1}, ensembles=SECOND)
    assert weekly(hurried, return_state=True).is_failed()
    before = stages(hurried)
    assert {"features", "train-lightgbm", "blend", "backtest"} <= before.keys()
    assert not list((world.home / "data").rglob("live.parquet"))
    assert record_of(hurried)["error"]["code"] == "round_closed"
    world.number -= 1
    world.open_round(open_seconds=86_400, multipliers={"corr60": 4.0, "mmc60": 10.0})
    record = weekly(world.settings("first", ensembles=SECOND))
    assert record["ensembles"]["twin"]["outcome"] == "submitted"
    assert record["outcome"] == "submitted"
    assert record["insurance"] is None
    after = stages(hurried)
    assert after["train-lightgbm"] == before["train-lightgbm"]
    assert after["backtest"] > before["backtest"]  # the round pays otherwise than was known ahead
    return record["submission"]["file"]["sha256"]


def stages(settings):
    return {path.parent.name: path.stat().st_mtime_ns for path in Path(settings.run_dir).glob("*/manifest.json")}


def record_of(settings):
    return json.loads((Path(settings.run_dir) / "record.json").read_text())


def sent_in_place(settings, seconds=90):
    """Wait until the insurance of a week that is at work has been accepted."""
    place = Path(settings.run_dir) / FOLDER / "submission" / "record.json"
    ends = time.monotonic() + seconds
    while not (place.exists() and json.loads(place.read_text())["state"]):
        assert time.monotonic() < ends, "nothing was sent in place of the week"
        time.sleep(0.1)


def test_the_champion_stands_in_for_a_late_week_and_is_replaced_when_it_passes(world, champion, monkeypatch):
    world.open_round()
    late = world.settings("late", models=OTHER)
    train = flows.weekly.train_all
    monkeypatch.setattr(flows.weekly, "train_all", lambda *given: sent_in_place(late) or train(*given))
    record = weekly(late)
    own = record["submission"]["file"]["sha256"]
    assert record["outcome"] == "submitted"
    assert record["insurance"]["file"]["sha256"] == champion != own
    assert world.received() == [(champion, False), (own, True)]
    live = record["drift"]
    assert live["rows"] == TINY["sandbox"]["rows_per_era"]
    assert 0.2 < live["previous_corr"] < 1  # the champion before, on the same live era
    assert live["past_eras"] > 100


def test_a_week_that_is_held_late_sends_the_champion(world, champion):
    world.open_round()
    gate = {**TINY["gate"], "corr_bound": 1.0}
    held = world.settings("held", models=OTHER, gate=gate, windows={"folds": 3})
    assert weekly(held, return_state=True).name == "Held"
    record = record_of(held)
    assert record["outcome"] == "held"
    [(sent, counts)] = world.received()
    assert counts
    assert record["insurance"]["file"]["sha256"] == sent


def test_a_schedule_of_its_own_insures_a_week_of_which_nothing_is_left(world, champion):
    world.open_round()
    alone = {"only_insure": True, "insurance_minutes": 45}
    first = daily(world.settings("alone", round=alone, ensembles=SECOND))
    assert first["outcome"] == first["ensembles"]["twin"]["outcome"] == "submitted"
    assert world.received_by_second() == [champion]
    again = daily(world.settings("again", round=alone, ensembles=SECOND))
    assert again["ensembles"]["twin"]["outcome"] == "kept"
    assert (again["outcome"], again["submission"]) == ("kept", None)
    assert again["not_needed"]["filed"]["id"] == first["submission"]["state"]["id"]
    record = weekly(world.settings("resurrected", models=OTHER, windows={"folds": 3}))
    assert record["outcome"] == "submitted"
    assert [counts for _, counts in world.received()] == [False, True]


def test_what_somebody_else_has_filed_is_neither_insured_nor_replaced(world, champion):
    world.open_round()
    filed = daily(world.settings("by-hand", round={"insurance_minutes": None}))
    beside = world.settings("beside", models=OTHER, gate={**TINY["gate"], "champion_confidence": None})
    record = weekly(beside)
    assert record["outcome"] == "kept"
    assert record["insurance"] is None
    assert record["submission"]["kept"]["id"] == filed["submission"]["state"]["id"]
    assert len(world.received()) == 1
