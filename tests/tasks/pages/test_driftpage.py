"""Alarms about a live era: said where there is a reason, and only there."""

from eraflow.discovery.driftalarms import drift_alarms
from eraflow.settings.drift import DriftSettings
from tasks.pages.driftpage import show_drift_of_live


def found(unlike=(), corr=0.9, **changes):
    rows = [
        {"feature": name, "figure": "share of code 2", "usual": 0.2, "now": 1.0, "score": 4.0, "p_value": 0.004}
        for name in unlike
    ]
    usual = {
        "rows": 5_000,
        "past_eras": 260,
        "first_era": "0800",
        "last_era": "1059",
        "error_rate": 0.01,
        "unlike": len(rows),
        "unlike_before": rows,
        "exposure": {"max": 0.2, "rms": 0.05, "features": {"feature_a": -0.2}},
        "previous_corr": corr,
    }
    return {**usual, **changes}


def test_an_ordinary_week_has_no_alarm():
    assert drift_alarms(found(), DriftSettings()) == []
    assert drift_alarms(found(corr=None), DriftSettings()) == []


def test_features_are_named_with_what_they_do_and_how_often_that_is_said_by_chance():
    [alarm] = drift_alarms(found([f"feature_{name}" for name in "abcdefg"]), DriftSettings())
    assert alarm.startswith("7 features behave in the live era unlike in any of 260 eras before: feature_a (share of ")
    assert "and 2 more" in alarm
    assert "1.0% of weeks" in alarm


def test_predictions_unlike_the_week_before_are_an_alarm_that_can_be_switched_off():
    [alarm] = drift_alarms(found(corr=0.31), DriftSettings())
    assert "correlate 0.31" in alarm
    assert drift_alarms(found(corr=0.31), DriftSettings(least_correlation=None)) == []


def test_the_page_says_when_nothing_can_be_said(monkeypatch):
    pages = []
    monkeypatch.setattr("tasks.pages.driftpage.shown", lambda create: create())
    monkeypatch.setattr("tasks.pages.driftpage.create_markdown_artifact", lambda text, **_: pages.append(text))
    show_drift_of_live(found(["feature_a"], corr=None))
    show_drift_of_live(found(error_rate=None, past_eras=7))
    assert "no ensemble before" in pages[0]
    assert "| feature_a | share of code 2 |" in pages[0]
    assert "With 7 past eras nothing can be said" in pages[1]
