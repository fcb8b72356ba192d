"""What goes wrong with an uploaded model, through the whole week: it is named, told of, and nothing is uploaded twice.

One server for all, and a slot of its own for each fault, since a slot remembers what was uploaded to it. Each week goes
on from the one that was made ready and not sent: its training and its rehearsal are not repeated.
"""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
import requests

from eraflow.disk.ownership import mark_home
from eraflow.rehearsal.environment import rehearsal_folder
from eraflow.runs.continuation import take_over
from eraflow.runs.unfinished import note_run
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from eraflow.settings.source import SandboxSettings
from flows.weekly import weekly
from tasks.alertblock import save_webhook
from tests.eraflow.rehearsal.environments import BUILT, KEPT, interpreter
from tests.weeks import TINY, receiver, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server"), BUILT]
HURRIED, PATIENT = 0.05, 3  # minutes
FAILURES = {
    "pickle_fails": ("failed", "pickle_rejected", "the sandbox was told to fail", PATIENT),
    "pickle_stuck": ("unconfirmed", "pickle_not_ready", "did not validate the model within 3 s", HURRIED),
    "run_fails": ("failed", "pickle_run_failed", "the sandbox was told to fail", PATIENT),
    "run_stuck": ("unconfirmed", "pickle_not_ready", "did not run the model within 10 s", 10 / 60),
    "image_gone": ("failed", "not_offered", "no image for Python 3.11 any more: it is deprecated", PATIENT),
}
"""Fault -> how the week ends and in which code, what it says, and how long the week waits (minutes)."""
SLOTS = (*FAILURES, "others")
# Most eras are validation, which Numerai diagnoses, and the trees are small: what a fit gains on eras that it has
# learnt from must not hide that its diagnostics are those of another model.
DATA = {**TINY["sandbox"], "train_eras": 40, "validation_eras": 220, "rows_per_era": 150}
SMALL = [{"kind": "lightgbm", "params": {"n_estimators": 10, "learning_rate": 0.1, "num_leaves": 4}}]


class World:
    """The server, a home, the week that is ready to be sent, and whoever is told."""

    def __init__(self, url, state, home, inbox, block):
        self.url, self.state, self.home, self.inbox, self.block = url, state, home, inbox, block

    def arm(self, **counts):
        requests.post(f"{self.url}/sandbox/faults", json=counts, timeout=10).raise_for_status()

    def settings(self, slot, minutes=PATIENT, **submit):
        sent = {"as": "pickle", "python": "3.11", "model": slot, "model_minutes": minutes, "confirm_minutes": 3}
        return tiny(
            self.home,
            run_dir=str(self.home / slot),
            models=SMALL,
            source={"url": self.url, "attempts": 3},
            submit={**sent, **submit},
            alert={"block": self.block},
        )

    def begun(self, slot, minutes):
        """Settings of a week for a slot, in whose folder all is ready to be sent."""
        ready, folder = self.home / "ready", self.home / slot
        note_run(self.home, folder, "weekly", None)
        take_over(ready, folder)
        shutil.copytree(ready / "upload", folder / "upload")
        told = folder / "upload" / "export.json"
        told.write_text(told.read_text().replace(str(ready), str(folder)))
        return self.settings(slot, minutes)

    @cache  # noqa: B019 - one world a module
    def failed(self, fault):
        """The state, the record and the messages of a week that meets a fault."""
        week = self.begun(fault, FAILURES[fault][-1])
        self.inbox.messages.clear()
        self.arm(**{**dict.fromkeys(FAILURES, 0), fault: 1})
        state = weekly(week, return_state=True)
        record = json.loads((Path(week.run_dir) / "record.json").read_text())
        return state, record, [message["text"] for message in self.inbox.messages]

    def uploads(self, slot):
        """How many models were registered for a slot."""
        models = requests.get(f"{self.url}/sandbox/status", timeout=10).json()["models"]
        rows = json.loads((self.state / "state.json").read_text())["pickles"]
        return sum(row["model"] == models[slot] for row in rows)


@pytest.fixture(scope="module")
def world(tmp_path_factory, prefect_server):
    interpreter("3.11")
    home, server = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("server")
    mark_home(home)
    rehearsal_folder(home).parent.mkdir(parents=True, exist_ok=True)
    rehearsal_folder(home).symlink_to(rehearsal_folder(KEPT))
    data = generate(server / "data", SandboxSettings(**DATA), version="v5.3")
    running = sandbox(data, server / "state", models=SLOTS, rehearsals=rehearsal_folder(KEPT))
    with receiver() as inbox, running as address:
        made = World(address.url, server / "state", home, inbox, save_webhook(inbox.url, "model-faults"))
        ready = made.settings(SLOTS[0], dry_run=True).model_copy(update={"run_dir": str(home / "ready")})
        assert weekly(ready)["outcome"] == "ready"
        yield made


@pytest.mark.parametrize("fault", sorted(FAILURES))
def test_a_model_that_fails_there_ends_the_week_by_name_and_is_told_once(fault, world):
    outcome, code, said, _ = FAILURES[fault]
    state, record, messages = world.failed(fault)
    assert state.is_failed()
    assert (record["outcome"], record["error"]["code"]) == (outcome, code)
    [told] = messages
    assert code in told
    assert said in told
    if fault == "image_gone":
        assert world.uploads(fault) == 0


@pytest.mark.parametrize(("fault", "uploads"), [("pickle_fails", 2), ("run_fails", 1)])
def test_the_week_goes_on_where_its_model_failed_and_uploads_only_what_was_found_faulty(fault, uploads, world):
    world.failed(fault)
    assert world.uploads(fault) == 1
    record = weekly(world.settings(fault))
    assert record["outcome"] == "submitted"
    assert world.uploads(fault) == uploads


def test_a_lost_answer_registers_once_and_diagnostics_of_another_model_are_told_of(world):
    """The week is delivered all the same: what is wrong is what the backtest promised, or what runs there."""
    week = world.begun("others", PATIENT)
    week = week.model_copy(update={"submit": week.submit.model_copy(update={"diagnostics_minutes": 3})})
    world.inbox.messages.clear()
    world.arm(pickle_create_lost=1, diagnostics_differ=1)
    record = weekly(week)
    assert record["outcome"] == "submitted"
    assert world.uploads("others") == 1
    [told] = [message["text"] for message in world.inbox.messages]
    assert "the backtest and Numerai disagree" in told
    assert "slot others" in told
