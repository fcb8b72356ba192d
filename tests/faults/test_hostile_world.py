"""A hostile server through the whole flow: the week ends as the undisturbed one, or in a named error and later so.

One server for all, a round of its own for each test. A test goes on from a copy of the undisturbed run, whose training
it must not repeat, in a home of its own, into which everything is downloaded anew.
"""

import hashlib
import json
import logging
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import polars as pl
import pytest
import requests

from eraflow.numerai.submission_csv import write_submission
from eraflow.runs.continuation import take_over
from eraflow.runs.unfinished import note_run
from eraflow.sandbox.faults import LASTING, Faults
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from eraflow.settings.source import SandboxSettings
from flows.weekly import weekly
from models.prediction.predict import predict_file
from tests.weeks import TINY, tiny

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]
ROUNDS = count(2001)
TRAINED = ("features", "train-lightgbm", "blend", "backtest")


class World:
    """The server, and the undisturbed week that every other is compared with."""

    def __init__(self, url, home):
        self.url, self.home, self.number = url, home, 0
        self.sha = self.undisturbed = None

    def post(self, switch, **values):
        requests.post(f"{self.url}/sandbox/{switch}", json=values, timeout=10).raise_for_status()

    def arm(self, **counts):
        self.post("faults", **counts)

    def open_round(self, **spec):
        usual = {"state": "open", "open_seconds": 86_400, "multipliers": {"corr60": 3.0, "mmc60": 15.0}}
        self.post("round", **{**usual, "number": self.number, **spec})

    def received(self):
        """The submissions of this round that count."""
        found = requests.get(f"{self.url}/sandbox/submissions", timeout=10).json()
        return [row for row in found if row["round"] == self.number and row["status"] == "success"]

    def settings(self, home, **changes):
        source = {"url": self.url, "call_seconds": 2, "attempts": 3, "transfer_seconds": 30}
        return tiny(home, **{"run_dir": str(home / "run"), "source": source | changes.pop("source", {}), **changes})


@pytest.fixture(scope="module")
def world(tmp_path_factory, prefect_server):
    home, server = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("server")
    data = generate(server / "data", SandboxSettings(**TINY["sandbox"]), version="v5.3")
    with sandbox(data, server / "state") as address:
        made = World(address.url, home)
        made.number = next(ROUNDS)
        made.open_round()
        record = weekly(made.settings(home))
        made.undisturbed = Path(record["run_dir"])
        made.sha = record["submission"]["file"]["sha256"]
        yield made


@pytest.fixture
def week(world, tmp_path):
    """A new round without faults; settings of a run that has learned, and has nothing downloaded."""
    world.number = next(ROUNDS)
    world.arm(**dict.fromkeys(Faults.names(), 0))
    world.open_round()
    note_run(tmp_path, tmp_path / "run", "weekly", None)
    take_over(world.undisturbed, tmp_path / "run")
    return world.settings(tmp_path)


def written(run_dir):
    """When each stage that learns was finished: a stage that ran again has another time."""
    return {name: (Path(run_dir) / name / "manifest.json").stat().st_mtime_ns for name in TRAINED}


def assert_submitted(world, record, kept=None):
    assert record["outcome"] == "submitted"
    assert record["error"] is None
    assert record["submission"]["file"]["sha256"] == world.sha
    assert {row["sha256"] for row in world.received()} == {world.sha}
    if kept is not None:
        assert written(record["run_dir"]) == kept


def failed_with(settings):
    """The code of the error that a week ends in; it says what to do, and nothing is counted as submitted."""
    state = weekly(settings, return_state=True)
    assert state.is_failed(), state
    record = json.loads((Path(settings.run_dir) / "record.json").read_text())
    assert (record["outcome"], record["submission"]) == ("failed", None)
    assert len(record["error"]["remedy"]) > 10
    assert record["error"]["code"] in state.message
    assert "Signature" not in json.dumps(record)
    return record["error"]["code"]


@contextmanager
def log_lines():
    """What the flow logs meanwhile, as (level, text)."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))
    logger = logging.getLogger("prefect.flow_runs")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


# --- what passes ---


def test_a_week_from_scratch_in_which_everything_fails_once(world, tmp_path):
    """No stage is there beforehand: API, downloads, upload and registration all fail, and the bytes are the same."""
    world.number = next(ROUNDS)
    world.open_round(opens_in=1)
    armed = ("server_500", "api_html", "file_truncated", "file_spliced", "file_short", "put_reset")
    world.arm(**dict.fromkeys(armed, 1), create_lost=1)
    record = weekly(world.settings(tmp_path, source={"attempts": 9}))
    assert_submitted(world, record)
    assert len(world.received()) == 1
    left = requests.get(f"{world.url}/sandbox/status", timeout=10).json()["faults"]
    assert {name: left[name] for name in (*armed, "create_lost")} == dict.fromkeys((*armed, "create_lost"), 0)


PASSING = {
    "500": {"server_500": 1},
    "no answer in time": {"api_hang": 1},
    "too many requests": {"api_429": 1},
    "a page instead of JSON": {"api_html": 1},
    "a gateway's 502": {"api_502": 1},
    "a file server's 500": {"file_500": 1},
    "a slow drip": {"file_drip": 1},
    "a download that falls silent": {"file_hang": 1},
    "a truncated download": {"file_truncated": 2},
    "a short download": {"file_short": 1},
    "a spliced download": {"file_spliced": 1},
    "a bit that flips on the way": {"file_flipped": 1},
    "a server that ignores Range": {"file_truncated": 1, "file_no_range": 1},
    "a 500 on the PUT": {"put_500": 1},
    "a reset in the middle of the upload": {"put_reset": 1},
    "an upload that is not kept": {"put_lost": 1},
    "an address that is refused once": {"put_403": 1},
    "a list of submissions with numbers for times": {"submissions_odd": 2},
    "a submission that is not handed out again": {"readback_refused": 1},
    "a lost answer to the registration": {"create_lost": 1},
    "an error for a registration that arrived": {"create_refused": 1},
    "an identical submission filed twice": {"create_twice": 1},
}


@pytest.mark.parametrize("case", PASSING)
def test_a_passing_fault_changes_nothing(case, world, week):
    kept = written(week.run_dir)
    world.arm(**PASSING[case])
    record = weekly(week)
    assert_submitted(world, record, kept)
    assert not record["submission"]["state"]["already"]
    assert len(world.received()) == (2 if "create_twice" in PASSING[case] else 1)
    left = requests.get(f"{world.url}/sandbox/status", timeout=10).json()["faults"]
    assert not any(left[name] for name in PASSING[case]), "the fault was not met"


def test_an_upload_that_is_altered_on_its_way_is_noticed_and_sent_again(world, week):
    world.arm(put_altered=1)
    record = weekly(week)
    assert record["outcome"] == "submitted"
    assert record["submission"]["state"]["compared"] == "same"
    assert [row["sha256"] == world.sha for row in world.received()] == [False, True]


def test_a_round_that_opens_late_is_waited_for(world, week):
    world.open_round(opens_in=1)
    assert_submitted(world, weekly(week), written(week.run_dir))


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_wrong_by_an_hour_does_not_cost_the_week(hours, world, week):
    """By this machine's clock the round would open in an hour, or have closed half an hour ago."""
    world.arm(clock_offset=3600 * hours)
    world.open_round(opens_in=-60, open_seconds=1800)
    with log_lines() as lines:
        assert_submitted(world, weekly(week))
    assert [level for level, text in lines if "this machine's clock is 60 min" in text] == ["WARNING"]


def test_multipliers_that_change_during_the_week_are_recorded_as_they_were_when_it_was_sent(world, week):
    world.arm(multipliers_double=1)
    with log_lines() as lines:
        record = weekly(week)
    assert_submitted(world, record)
    assert record["submission"]["state"]["multipliers"] == {"corr60": 6.0, "mmc60": 30.0}
    assert any(level == "WARNING" and "have changed" in text for level, text in lines)


def test_nan_in_the_live_features_counts_as_missing(world, week, tmp_path):
    """Missing is 2, also for a feature that is NaN in the whole era."""
    world.arm(live_nan=LASTING)
    record = weekly(week)
    assert record["outcome"] == "submitted"
    live = next((tmp_path / "data").glob(f"*/v5.3/round-{world.number}/live.parquet"))
    frame = pl.read_parquet(live)
    missing = frame.select(pl.col("^feature.*$").is_nan().sum()).row(0)
    assert missing[0] > 0
    assert missing[1] == frame.height
    filled = frame.with_columns(pl.col("^feature.*$").fill_nan(2).cast(pl.Int8))
    filled.write_parquet(tmp_path / "filled.parquet")
    ensemble = next(Path(week.run_dir).glob("blend/**/ensemble.json")).parent
    predict_file(ensemble=str(ensemble), data=str(tmp_path / "filled.parquet"), out=str(tmp_path / "out.parquet"))
    expected = pl.read_parquet(tmp_path / "out.parquet")
    csv = write_submission(expected["id"].to_list(), expected["prediction"].to_numpy(), tmp_path / "expected.csv")
    sent = Path(record["submission"]["file"]["path"])
    assert sent.read_bytes() == csv.read_bytes()
    assert pl.read_csv(sent)["prediction"].is_finite().all()
    assert hashlib.sha256(csv.read_bytes()).hexdigest() != world.sha


# --- what is named, and finished afterwards ---

LASTING_FAULTS = {
    "the API": [
        ("server_500", "server_fault"),
        ("api_429", "server_fault"),
        ("api_html", "server_fault"),
        ("api_502", "server_fault"),
        ("api_hang", "deadline"),
        ("wrong_key", "wrong_key"),
    ],
    "downloads": [
        ("file_500", "server_fault"),
        ("file_truncated", "download_broken"),
        ("file_short", "download_corrupt"),
        ("file_hang", "download_broken"),
        ("file_drip", "download_slow"),
    ],
    "uploads": [
        ("put_403", "upload_refused"),
        ("put_500", "upload_refused"),
        ("put_reset", "server_down"),
        ("put_lost", "upload_lost"),
        ("put_skewed", "clock_skewed"),
        ("validation_fails", "submission_rejected"),
    ],
    "this week's data": [("live_renamed", "missing_feature")],
}


@pytest.mark.parametrize("part", LASTING_FAULTS)
def test_a_fault_that_stays_is_named_and_the_run_finishes_when_it_is_gone(part, world, week, tmp_path):
    kept = written(week.run_dir)
    hurried = week.model_copy(
        update={"source": week.source.model_copy(update={"attempts": 2, "call_seconds": 1, "transfer_seconds": 10})}
    )
    for fault, code in LASTING_FAULTS[part]:
        world.arm(**{fault: LASTING})
        started = time.monotonic()
        assert (fault, failed_with(hurried)) == (fault, code)
        assert time.monotonic() - started < 25, "a server must not hang the week"
        world.arm(**{fault: 0})
    assert world.received() == []
    assert_submitted(world, weekly(hurried), kept)
    assert len(world.received()) == 1


@pytest.mark.parametrize("fault", ["closed", "closes_after_live", "closes_after_put"])
def test_a_round_that_is_or_becomes_closed_is_named(fault, world, week):
    kept = written(week.run_dir)
    if fault == "closed":
        world.open_round(state="closed")
    else:
        world.arm(**{fault: 1})
    patient = week.model_copy(update={"round": week.round.model_copy(update={"wait_minutes": 0.01})})
    assert failed_with(patient) == "round_closed"
    assert world.received() == []
    world.open_round()
    assert_submitted(world, weekly(week), kept)


# --- twice ---


def test_submitting_twice_is_recognised(world, week, tmp_path):
    """The finished week again, in a new folder, where all is learned again: one submission."""
    first = weekly(week)
    assert_submitted(world, first)
    assert not first["submission"]["state"]["already"]
    elsewhere = weekly(week.model_copy(update={"run_dir": str(tmp_path / "other")}))
    assert_submitted(world, elsewhere)
    assert elsewhere["submission"]["state"]["already"]
    assert elsewhere["submission"]["state"]["id"] == first["submission"]["state"]["id"]
    assert len(world.received()) == 1


def test_every_fault_is_met_by_a_week():
    """A fault that no week meets proves nothing."""
    text = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_hostile_*.py")))
    assert [name for name in Faults.names() if name not in text] == []
