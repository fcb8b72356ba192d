"""Doctor tells how long each champion may still be sent."""

import json
from datetime import UTC, datetime, timedelta

from eraflow.gate.verdict import Verdict
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.championseat import Seat
from eraflow.tracking.registry import register_champion
from eraflow.tracking.tracking import Tracker
from flows.command.doctor.examine_champion import examine_champions

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def test_a_home_without_a_registry_has_nothing_to_tell(tmp_path):
    assert list(examine_champions(tmp_path)) == []
    assert not (tmp_path / "mlflow.db").exists()


def test_a_champion_is_told_of_and_an_old_one_is_a_warning(tmp_path):
    ensemble, verdict = tmp_path / "ensemble", tmp_path / "verdict.json"
    ensemble.mkdir()
    (ensemble / "ensemble.json").write_text("{}")
    judged = Verdict(True, (), "abc123", 1400, (NOW - timedelta(days=50)).isoformat(), "target_ender_20", "")
    verdict.write_text(json.dumps(judged.as_dict()))
    tracker = Tracker(tmp_path / "home", TrackingSettings())
    with tracker.run("week", kind="ensemble", tags={"signature": "abc123"}) as run:
        pass
    seat = Seat("numerai/v5.3", "id", "target_ender_20", "alpha")
    register_champion(tracker, ensemble, run.run_id, {"signature": "abc123"}, seat=seat, verdict=verdict)
    [soon] = examine_champions(tmp_path / "home", NOW)
    assert (soon.state, "slot alpha" in soon.found, "2026-12-11, week 50" in soon.found) == ("warning", True, True)
    [young] = examine_champions(tmp_path / "home", NOW - timedelta(days=40))
    assert young.state == "ok"
