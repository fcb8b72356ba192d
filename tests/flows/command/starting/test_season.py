"""A season that was killed goes on, and ends in the same submissions as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

WEEKS = 3
LEFT_OUT = {"ERAFLOW_HOME", "PREFECT_API_URL", "PREFECT_HOME", "PREFECT_API_DATABASE_CONNECTION_URL"}
SEASON = [sys.executable, "-m", "flows.command.entry", "sandbox", "season", f"--weeks={WEEKS}", "--json"]
QUICK = ("tracking.enabled=false", "gate.on_block=hold", "gate.corr_bound=-1", 'models=["lightgbm"]')


def begin(folder, log):
    """The command, in a session of its own."""
    command = [*SEASON, f"--out={folder}", *(f"--set={one}" for one in QUICK)]
    environment = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log.open("ab"), env=environment, start_new_session=True, text=True
    )


def finished(folder, log):
    child = begin(folder, log)
    out, _ = child.communicate(timeout=280)
    assert child.returncode == 0, log.read_text()[-3000:]
    return json.loads(out.splitlines()[-1])


def killed_in_its_first_week(folder, log):
    """SIGKILL to everything of the command, once members are trained."""
    child = begin(folder, log)
    deadline = time.monotonic() + 200
    while not list(folder.glob("home/runs/*/train-*/manifest.json")):
        assert child.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_season_that_is_killed_goes_on_to_the_same_submissions_and_tells_of_them(tmp_path):
    whole = finished(tmp_path / "whole", tmp_path / "whole.log")
    killed_in_its_first_week(tmp_path / "killed", tmp_path / "killed.log")
    resumed = finished(tmp_path / "killed", tmp_path / "killed.log")
    sent = [{name: step["csv_sha256"] for name, step in record["steps"].items()} for record in (whole, resumed)]
    assert sent[0] == sent[1]
    assert None not in sent[0].values()
    assert [step["outcome"] for step in whole["steps"].values()] == ["submitted", "submitted"]
    assert [step["round"] for step in whole["steps"].values()] == [1404, 1408]
    assert [line["round_number"] for line in whole["scores"]] == [1404]  # that of now has no scores yet
    assert whole["scores"][0]["promised_corr"] is not None
    page = (tmp_path / "whole" / "season.md").read_text()
    assert "Week 1, round 1406: nobody ran" in page
    assert (tmp_path / "whole" / "live.png").read_bytes().startswith(b"\x89PNG")
