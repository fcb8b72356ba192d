"""What networks learnt is written, read and drawn; nobody's training depends on it."""

from __future__ import annotations

import io
import math

from PIL import Image

from eraflow.reports.learningcurve import LearningCurve, learning_chart, read_curves, write_curves

POINTS = [(20, 1.001, 0.01), (40, 0.999, 0.02), (60, 0.998, 0.015)]


def test_what_is_written_is_read(tmp_path):
    write_curves(tmp_path, 0, [POINTS, POINTS[:2]])
    write_curves(tmp_path, None, [[(20, 1.0, None)]])
    first, second, live = read_curves(tmp_path)
    assert first == LearningCurve("fold 1", 1, (20, 40, 60), (1.001, 0.999, 0.998), (0.01, 0.02, 0.015))
    assert (second.network, second.updates) == (2, (20, 40))
    assert (live.fit, live.updates, math.isnan(live.corrs[0])) == ("live", (20,), True)
    assert (tmp_path / "learning-0.csv").read_text().splitlines()[:2] == ["network,update,loss,corr", "1,20,1.001,0.01"]


def test_nothing_to_tell_and_damage_leave_nothing(tmp_path):
    write_curves(tmp_path, 0, [])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "learning-0.csv").write_text("network,update\n1,x\n")
    write_curves(tmp_path, 1, [POINTS])
    assert [curve.fit for curve in read_curves(tmp_path)] == ["fold 2"]


def test_the_chart_is_a_small_picture_with_both_panels(tmp_path):
    write_curves(tmp_path, 0, [POINTS, POINTS])
    write_curves(tmp_path, 1, [[(20, 1.0, None), (40, 0.9, None)]])
    drawn = [learning_chart(curves) for curves in ([], read_curves(tmp_path), read_curves(tmp_path)[-1:])]
    assert all(Image.open(io.BytesIO(png)).format == "PNG" for png in drawn)
    assert all(len(png) < 60_000 for png in drawn)
    assert len(set(drawn)) == 3
