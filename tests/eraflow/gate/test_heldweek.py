"""What may be done about a held week names commands that exist and would do it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from eraflow.gate.heldweek import SWITCHED_OFF, what_may_be_done
from eraflow.settings.override import settings_on
from eraflow.settings.run import RunSettings
from tests.eraflow.gate.test_gate import blocking, decide, measured, sound, wave

CLOSES = datetime(2026, 11, 22, 14, tzinfo=UTC)


def test_the_command_switches_off_exactly_the_rules_that_block():
    falling = sound(corr=wave(-0.02), bmc=wave(-0.02, n=250), max_exposure=[0.9] * 330)
    verdict = decide(falling)
    said = what_may_be_done(Path("/runs/a week"), verdict, CLOSES, predicted=True)
    command = said[1].split("`")[1]
    assert command.startswith("eraflow submit '/runs/a week' --set ")
    settings = settings_on(RunSettings(), {}, command.split(" --set ")[1:])
    changes = settings.gate.model_dump(exclude={"on_block"})
    assert blocking(decide(falling, **changes)) == []
    assert "2026-11-22 14:00 UTC" in said[1]


def test_every_rule_that_can_be_switched_off_is_known():
    named = {rule.name for rule in decide(sound(), champion=sound()).rules}
    named |= {rule.name for rule in decide(sound(), bmc_bound=None, payout_bound=0.0).rules}
    assert named - {"predictions"} == set(SWITCHED_OFF)


@pytest.mark.parametrize(("missing", "predicted"), [(5, True), (0, False)])
def test_what_cannot_be_sent_is_not_offered(missing, predicted):
    verdict = decide(measured(wave(-0.02), missing=missing))
    said = what_may_be_done(Path("/runs/x"), verdict, CLOSES, predicted=predicted)
    assert not any("eraflow submit" in sentence for sentence in said)
    assert any("eraflow daily" in sentence for sentence in said)
