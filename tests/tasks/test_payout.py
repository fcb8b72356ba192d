"""Which multipliers a run is scored by: the settings, else the round, else those of today."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import tasks.payout
from eraflow.numerai.rounds import Round
from eraflow.scoring.payout import TODAY, NothingPaidError, Payout
from eraflow.settings.run import RunSettings
from tasks.payout import paid
from tasks.run import Run

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class Log:
    def __init__(self):
        self.said = []

    def warning(self, text, *figures):
        self.said.append(text % figures)


@pytest.fixture(autouse=True)
def log(monkeypatch):
    found = Log()
    monkeypatch.setattr(tasks.payout, "get_run_logger", lambda: found)
    return found


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """A run notes in its folder what an era pays."""
    monkeypatch.chdir(tmp_path)


def run(**payout):
    return Run(RunSettings.model_validate({"profile": "sandbox", "payout": payout}), Path("run"))


def of_round(multipliers, clip=None):
    return Round(1404, NOW, NOW, True, multipliers=multipliers, payout_clip=clip)


def test_the_round_says_unless_the_settings_do(log):
    assert paid(run(), of_round({"corr20": 0.75, "mmc20": 2.25}, 0.05)) == Payout(0.75, 2.25, 0.05)
    assert paid(run(clip=0.5), of_round({"corr60": 2.0}, 0.05)) == Payout(2.0, 0.0, 0.5)
    assert paid(run(multipliers={"mmc": 1.0}), of_round({"corr60": 3.0}, 0.2)) == Payout(0.0, 1.0, 0.2)
    assert log.said == []


def test_a_round_that_pays_something_else_stops_no_week_and_is_told(log):
    assert paid(run(), of_round({"alpha": 1.0})) == TODAY
    assert "alpha" in log.said[0]
    assert "3 CORR + 15 MMC" in log.said[0]


def test_settings_that_pay_nothing_are_refused():
    with pytest.raises(NothingPaidError, match=r"payout\.multipliers"):
        paid(run(multipliers={"fnc": 1.0}), of_round({"corr60": 3.0}))
