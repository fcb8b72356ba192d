"""The watch raises its alarm about as often as it says, sees an edge that turned round, and looks at no future."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy.special import stdtrit

from benchmarks.livealarm import alarm_rate
from eraflow.livescores.alarms import alarm_text, new_alarms, note_alarm, raised_alarms
from eraflow.livescores.livetext import live_text
from eraflow.livescores.promise import LivePromise, keep_promise, promises
from eraflow.livescores.store import slot_scores
from eraflow.livescores.table import live_lines
from eraflow.livescores.watch import RATE, scored_rounds, standing

from .test_store import NOW, row

ERAS = 120


def promise(number, mean=0.02, eras=ERAS):
    rng = np.random.default_rng(7)
    per_era = {"corr": (mean + 0.01 * rng.standard_normal(eras)).tolist(), "payout": [0.1] * eras}
    return LivePromise(f"sub{number}", number, "sig", "run", "target_ender_20", 20, {"corr20": 3, "mmc20": 15}, per_era)


def weekly_rows(values, days=20, weeks=None):
    """Rounds a week apart, each with the same value on every day."""
    told = []
    for place, value in enumerate(values):
        for day in range(1, days + 1):
            shown = row(number=place, day=day, value=value, name="corr20", submission=f"sub{place}", resolved=day == 20)
            at = np.busday_offset(np.datetime64("2026-12-07") + 7 * place, day, roll="forward")
            told.append(shown.model_copy(update={"date": f"{at}T21:00:00Z"}))
    return told


def kept(tmp_path, values):
    slot = slot_scores(tmp_path, "numerai", "slot-1", "mine")
    slot.add(weekly_rows(values), NOW)
    for place in range(len(values)):
        keep_promise(slot.folder, promise(place))
    return slot


@pytest.mark.parametrize(("horizon", "regimes"), [(20, False), (60, True)])
def test_false_alarms_of_a_year_stay_below_the_stated_rate(horizon, regimes):
    """Of 120 draws a rate of 5 % raises more than 9 % once in 40 such tests; the benchmark has 500 draws, all cells."""
    assert alarm_rate(horizon, 330, 1.0, regimes=regimes, draws=120).alarms <= RATE + 0.04


def test_an_edge_that_turned_round_is_seen():
    assert alarm_rate(20, 330, -1.0, regimes=False, draws=40).alarms > 0.5


def test_scores_as_promised_lie_in_the_band_and_those_far_below_raise_one_alarm(tmp_path):
    good, bad = kept(tmp_path / "good", [0.02] * 12), kept(tmp_path / "bad", [-0.05] * 12)
    (fine,) = [standing(each) for each in scored_rounds(good.newest(), promises(good.folder))]
    assert fine.alarm is None
    assert abs(fine.total[-1] - fine.expected[-1]) < fine.band[-1]
    assert fine.total[-1] == pytest.approx(12 * 0.02)
    years = [standing(each) for each in scored_rounds(bad.newest(), promises(bad.folder))]
    (raised,) = new_alarms(bad.folder, years)
    assert "lower than its backtests promised" in alarm_text(raised, "mine")
    note_alarm(bad.folder, raised)
    assert new_alarms(bad.folder, years) == []
    assert raised_alarms(bad.folder) == [raised]


def test_what_comes_later_changes_no_earlier_look(tmp_path):
    early, late = kept(tmp_path / "early", [0.02] * 6), kept(tmp_path / "late", [0.02] * 6 + [-0.5] * 6)
    before, after = (standing(scored_rounds(slot.newest(), promises(slot.folder))[0]) for slot in (early, late))
    until = int(np.searchsorted(after.dates, before.dates[25]))
    assert np.array_equal(before.dates[:until], after.dates[:until])
    assert before.chance[:until] == pytest.approx(after.chance[:until], abs=1e-12)


def test_the_variance_of_full_overlap_is_that_of_weekly_eras(tmp_path):
    """20-day rounds every week for long: a week more adds one long-run variance of a weekly era, as V says."""
    slot = kept(tmp_path, [0.02] * 40)
    (rounds,) = scored_rounds(slot.newest(), promises(slot.folder))
    certain = standing(replace(rounds, eras=10**12))
    grown = np.diff(certain.band[60:140:5] ** 2)
    width = stdtrit(rounds.degrees, 0.95) * rounds.omega.mean()
    assert grown == pytest.approx([width**2] * len(grown), rel=1e-6)


def test_a_promise_of_too_few_eras_is_none(tmp_path):
    slot = slot_scores(tmp_path, "numerai", "slot-1", "mine")
    slot.add(weekly_rows([0.02]), NOW)
    keep_promise(slot.folder, promise(0, eras=6))
    assert scored_rounds(slot.newest(), promises(slot.folder)) == []


def test_a_year_of_rounds_begins_anew_after_a_year(tmp_path):
    slot = kept(tmp_path, [0.02] * 60)
    years = scored_rounds(slot.newest(), promises(slot.folder))
    assert [len(each.numbers) for each in years] == [53, 7]


def test_the_lines_and_the_page_tell_the_newest_scores_beside_the_promise(tmp_path):
    slot = kept(tmp_path, [0.02, 0.03])
    slot.add([row(number=1, day=20, value=0.01, name="mmc20", submission="sub1")], NOW + timedelta(days=1))
    newest, older = live_lines(slot)
    assert (newest.round_number, newest.day, newest.horizon_days, newest.resolved) == (1, 20, 20, True)
    assert newest.payout == pytest.approx(3 * 0.03 + 15 * 0.01)
    assert older.payout is None
    assert newest.promised_corr == pytest.approx(np.mean(promise(1).per_era["corr"]))
    assert newest.promised_low < newest.promised_corr < newest.promised_high
    text = live_text("mine", [newest, older], [])
    assert "data:image/png" in text
    assert "| 1 | 20 of 20 |" in text


def test_a_submission_without_a_promise_is_told_and_not_watched(tmp_path):
    slot = slot_scores(tmp_path, "numerai", "slot-1", "mine")
    slot.add(weekly_rows([0.02]), NOW)
    assert [line.promised_corr for line in live_lines(slot)] == [None]
    assert scored_rounds(slot.newest(), promises(slot.folder)) == []
    assert pl.Series([line.day for line in live_lines(slot)]).to_list() == [20]
