"""The lines and the progress of a stage are passed on, however many there are."""

from __future__ import annotations

from tests.eraflow.machine.isolated import isolated


def test_progress_comes_with_an_estimate_and_not_too_often(tmp_path):
    lines: list[str] = []
    seen: list = []
    outcome = isolated("count_up", tmp_path, lines, on_progress=seen.append, kwargs={"total": 40, "pause": 0.03})
    assert lines == []
    assert seen[-1].done == seen[-1].total == 40
    assert seen[-1].seconds_left == 0
    assert 2 <= len(seen) <= 2 * outcome.seconds + 2
    assert 0 < seen[1].seconds_left < 10 * outcome.seconds


def test_a_progress_bar_that_fails_does_not_cost_the_stage(tmp_path):
    def broken(_: object) -> None:
        raise ConnectionError("no server")

    lines: list[str] = []
    isolated("count_up", tmp_path, lines, on_progress=broken, kwargs={"total": 3, "pause": 0.01})
    assert lines == ["progress is no longer shown, ConnectionError: no server"]


def test_no_line_of_a_noisy_stage_is_lost(tmp_path):
    lines: list[str] = []
    seen: list = []
    isolated("noisy", tmp_path, lines, on_progress=seen.append, kwargs={"lines": 30_000})
    assert lines[:2] == ["10%", "20%"]
    assert len(lines) == 30_003
    assert lines[-1] == "no end"
    assert seen[-1].label == "bar"
