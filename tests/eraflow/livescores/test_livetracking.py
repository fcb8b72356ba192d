"""Live scores are one MLflow run a slot, with a point a round."""

import pytest

from eraflow.livescores.livetracking import log_live_scores
from eraflow.livescores.table import live_lines
from eraflow.settings.tracking import TrackingSettings
from eraflow.tracking.tracking import Tracker

from .test_watch import kept


def test_a_slot_has_one_run_and_each_round_a_point(tmp_path):
    pytest.importorskip("mlflow")
    slot = kept(tmp_path, [0.02, 0.03])
    tracker = Tracker(tmp_path, TrackingSettings())
    first = log_live_scores(tracker, slot.folder, "mine", live_lines(slot))
    assert log_live_scores(tracker, slot.folder, "mine", live_lines(slot)) == first
    points = tracker.link.call("get_metric_history", first, "live/corr")
    assert {point.step: point.value for point in points} == {0: 0.02, 1: 0.03}
