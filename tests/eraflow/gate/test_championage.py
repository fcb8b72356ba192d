"""A champion that is soon too old is known of before the day."""

from datetime import UTC, datetime, timedelta

import pytest

from eraflow.gate.championage import champion_age
from eraflow.gate.verdict import Verdict
from eraflow.settings.gate import GateSettings

JUDGED = datetime(2026, 10, 1, 12, tzinfo=UTC)
SETTINGS = GateSettings(champion_max_age_days=60, champion_warn_days=14)


@pytest.mark.parametrize(("days", "soon"), [(0, False), (45.9, False), (46, True), (59, True), (61, True)])
def test_it_is_told_of_in_the_days_before_the_limit(days, soon):
    verdict = Verdict(True, (), "abc", 1400, JUDGED.isoformat(), "target_ender_20", "")
    age = champion_age(verdict, JUDGED + timedelta(days=days), SETTINGS)
    assert (age.soon, age.left) == (soon, pytest.approx(60 - days))
    assert "2026-11-30, week 49 of 2026" in age.words
    assert ("any more" in age.words) == (days > 60)
