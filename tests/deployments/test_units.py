"""The systemd units: what they must say, and that systemd accepts them where it is there."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.recovery.heartbeats import FREQUENCY, HEARTBEAT_SECONDS, WITHIN_SECONDS

ROOT = Path(__file__).parent.parent.parent
UNITS = sorted((ROOT / "deployments" / "systemd").iterdir())


def parsed(name):
    """A unit's sections; a key that is given more than once keeps its last value."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read_string((ROOT / "deployments" / "systemd" / name).read_text())
    return parser


def test_the_worker_comes_back_and_is_not_what_the_kernel_kills():
    service = parsed("eraflow-worker.service")["Service"]
    assert service["Restart"] == "always"
    assert service["OOMPolicy"] == "continue"  # the default stops worker and flow when a stage is killed
    assert int(service["OOMScoreAdjust"]) < 0
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "control-group")
    assert parsed("eraflow-worker.service")["Unit"]["StartLimitIntervalSec"] == "0"


def test_what_crashed_is_rescheduled_at_the_worker_s_start_and_by_the_timer():
    before = parsed("eraflow-worker.service")["Service"]["ExecStartPre"]
    assert before.startswith("-")  # a server that is down must not keep the worker from starting
    assert "eraflow resume --install" in before
    assert parsed("eraflow-resume.service")["Service"]["ExecStart"].endswith("eraflow resume")
    assert parsed("eraflow-resume.timer")["Timer"]["OnUnitInactiveSec"] == "5min"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_no_unit_holds_a_path_of_one_machine_or_a_key(path):
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            value = line.split("=", 1)[1]
            assert "/home/" not in value
            assert "NUMERAI" not in value


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_them(tmp_path):
    bin_folder = Path(sys.executable).parent
    for unit in UNITS:
        text = unit.read_text().replace("%h/eraflow/.venv/bin", str(bin_folder)).replace("%h/eraflow", str(ROOT))
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_deployment_beats_often_enough_for_the_automation_and_is_ours():
    for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        assert entry["work_pool"]["job_variables"]["env"][FREQUENCY] == str(HEARTBEAT_SECONDS)
        assert entry["tags"] == ["eraflow"]
    assert WITHIN_SECONDS > 2 * HEARTBEAT_SECONDS
