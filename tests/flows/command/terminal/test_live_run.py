"""A real run on a real pseudo-terminal: something is seen at once, Ctrl-C leaves a clean terminal, and it goes on."""

import json
import sys
from pathlib import Path

import pytest

from tests.flows.command.test_cli import assignments
from tests.terminal import Terminal
from tests.weeks import TINY

ROOT = Path(__file__).parents[4]


@pytest.mark.slow
def test_a_run_is_watched_interrupted_and_can_go_on(tmp_path):
    run = tmp_path / "home" / "runs" / "mine"
    command = [sys.executable, "-m", "flows.command.entry", "run", "--profile", "sandbox", "--home", tmp_path / "home"]
    terminal = Terminal([*command, "--run-dir", run, "--dry-run", *assignments(TINY)], cwd=ROOT)
    assert terminal.wait_for("Eraflow is starting", 30) < 10  # two on a quiet computer
    terminal.wait_for("whole run", 60)
    terminal.wait_for("✓ refresh", 200)
    seen = terminal.text()
    assert all(step in seen for step in ("features", "train-lightgbm", "backtest", "predict-live", "generated data"))
    assert "| INFO" not in seen
    terminal.type("\x03")
    assert terminal.end(100) == 130
    told = " ".join(terminal.text().split())
    assert "interrupted; the same command with --resume goes on in" in told
    assert "whole run" not in told
    assert "Traceback" not in told
    assert not terminal.screen.cursor.hidden
    assert "| INFO" in (run / "run.log").read_text()
    assert json.loads((run / "record.json").read_text())["error"]["code"] == "interrupted"
