"""The live view on real pseudo-terminals, and what it says."""

import io
import logging
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from eraflow.runs.onlookers import IN_NEWS, News
from flows.command.terminal.pace import Pace
from flows.command.terminal.screen import Screen, wants_a_view
from flows.command.terminal.view import Drawn
from tests.terminal import Terminal

ROOT = Path(__file__).parents[4]


def drawing(seconds, columns=80, lines=24, **environment):
    return Terminal(
        [sys.executable, "-m", "tests.flows.command.terminal.drawing", seconds], columns, lines, cwd=ROOT, **environment
    )


def drawn(columns, lines, steps, news, pace=None, unicode=True):
    """The lines of a view of the given size, as text."""
    encoding = "utf-8" if unicode else "ascii"
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    console = Console(file=file, width=columns, height=lines, force_terminal=True, color_system=None)
    screen = Screen("Eraflow: a week, profile laptop", steps, pace or Pace({}), console, clock=lambda: 100.0)
    screen.say("the newest line of the log, " * 8)
    for each in news:
        screen.news(each)
    console.print(screen.render())
    file.seek(0)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in file.read().splitlines()]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (60, 20), (200, 50)])
def test_a_run_is_seen_within_two_seconds_and_leaves_only_its_summary(columns, lines):
    terminal = drawing(3, columns, lines)
    assert terminal.wait_for("whole run", 10) < 5  # two on a quiet computer, the import of Python itself included
    terminal.wait_for("train-lightgbm", 2)
    terminal.wait_for("MiB", 2)
    terminal.wait_for("left", 3)
    screen = terminal.text()
    assert screen.count("whole run") == 1
    assert all(len(line) <= columns for line in screen.splitlines())
    assert terminal.end() == 0
    text = terminal.text()
    assert "the summary takes its place" in text
    assert "whole run" not in text
    assert not terminal.screen.cursor.hidden
    told = " ".join(text.split())
    assert "everybody should see this word by word everybody should" in told  # broken between words alone


def test_another_size_of_the_window_leaves_no_remains():
    terminal = drawing(6)
    terminal.wait_for("whole run", 10)
    for columns, lines in ((50, 15), (120, 40), (80, 10)):
        terminal.resize(columns, lines)
        terminal.read(0.8)
        assert "\n".join(terminal.screen.display).count("whole run") == 1
    assert terminal.end() == 0
    assert "whole run" not in "\n".join(terminal.screen.display)


def test_ctrl_c_leaves_a_clean_terminal():
    terminal = drawing(30)
    terminal.wait_for("left", 10)
    terminal.type("\x03")
    assert terminal.end() == 130
    text = terminal.text()
    assert "interrupted" in text
    assert "Traceback" not in text
    assert "whole run" not in text
    assert not terminal.screen.cursor.hidden


def test_no_color_means_no_colour():
    terminal = drawing(1.5, NO_COLOR="1")
    terminal.wait_for("whole run", 10)
    assert terminal.end() == 0
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9][;m]", terminal.raw)


@settings(deadline=None, max_examples=40)
@given(
    columns=st.integers(30, 220),
    lines=st.integers(8, 60),
    models=st.integers(1, 40),
    ended=st.integers(0, 40),
    unicode=st.booleans(),
)
def test_the_view_is_never_larger_than_the_terminal(columns, lines, models, ended, unicode):
    steps = ["refresh", *(f"train-model-{number}" for number in range(models)), "submit"]
    news = [News(step, "finished", seconds=5000.0, memory_mb=123456.0) for step in steps[:ended]]
    if ended < len(steps):
        news.append(
            News(steps[ended], fraction=0.5, label="fold 1 of 5", seconds_left=90.0, memory_mb=1e5, budget_mb=2e5)
        )
    found = drawn(columns, lines, steps, news, unicode=unicode)
    assert len(found) < lines
    assert all(len(line) <= columns for line in found)
    if ended < len(steps):
        assert any(steps[ended][:8] in line for line in found)


def test_the_time_left_is_that_of_the_whole_run():
    steps = ["refresh", "train-a", "train-b", "blend"]
    pace = Pace({"refresh": 10.0, "train-a": 60.0, "train-b": 80.0, "blend": 7.0})
    assert pace.seconds_left([("train-a", 20.0, None), ("train-b", None, None), ("blend", None, None)]) == 127.0
    assert pace.seconds_left([("train-a", 20.0, 50.0), ("blend", None, None)]) == 57.0  # its own estimate is better
    shown = drawn(80, 24, steps, [News("refresh", "finished", seconds=9.0)], pace)
    assert any("2 min left" in line for line in shown)


def test_before_anything_is_known_no_time_is_made_up_and_then_other_models_count_as_much():
    assert Pace({}).seconds_left([("features", 3.0, None), ("train-a", None, None)]) is None
    left = Pace({}).seconds_left([("train-a", 30.0, 70.0), ("train-b", None, None), ("blend", None, None)])
    assert left == pytest.approx(70 + 100 + 3)


def test_a_step_that_failed_and_is_tried_again_runs_again():
    failed = News("train-a", "failed", label="oom")
    again = News("train-a", fraction=0.25, label="fold 1 of 5", seconds_left=30.0)
    assert any("oom" in line for line in drawn(80, 24, ["train-a"], [failed]))
    assert any("25%, 30 s left" in line for line in drawn(80, 24, ["train-a"], [failed, again]))


@pytest.mark.parametrize(
    ("term", "terminal", "options", "wanted"),
    [
        ("xterm-256color", True, {}, True),
        ("xterm-256color", False, {}, False),  # a pipe, a timer
        ("dumb", True, {}, False),
        ("unknown", True, {}, False),
        ("xterm-256color", True, {"json": True}, False),
        ("xterm-256color", True, {"verbose": True}, False),
    ],
)
def test_lines_are_written_where_nothing_can_be_drawn_or_they_are_asked_for(
    monkeypatch, term, terminal, options, wanted
):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert wants_a_view(**{"json": False, "verbose": False, **options}) is wanted


@pytest.mark.parametrize(
    ("line", "extra", "shown"),
    [
        ("train-lightgbm 0% of the stage: fold 1 of 3", {IN_NEWS: True}, False),
        ("predict-live 50% of the stage: 3 of 6 eras", {IN_NEWS: True}, False),
        ("sandbox serves generated data", {}, True),
    ],
)
def test_the_newest_line_repeats_no_older_figure_of_a_bar(line, extra, shown):
    screen = Screen("a week", ["train-lightgbm"], Pace({}), Console(file=io.StringIO(), width=80, force_terminal=True))
    screen.news(News("train-lightgbm", fraction=0.13))
    Drawn(screen).show(logging.makeLogRecord({"msg": line, "levelno": logging.INFO, **extra}))
    with screen.console.capture() as capture:
        screen.console.print(screen.render())
    assert (line in capture.get()) is shown
    assert "13%" in capture.get()
