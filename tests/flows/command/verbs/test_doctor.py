"""Each check of `eraflow doctor` in a good and in a bad state; no network, no server."""

import json
import os
import sys
import threading
import time
import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest

from eraflow.machine.resources import Gpu, Resources
from eraflow.runs.rundir import locked
from eraflow.sandbox.generate import generate
from eraflow.sandbox.process import sandbox
from flows.command.cli import main
from flows.command.doctor import examine_machine, examine_prefect
from flows.command.doctor.examine import Finding
from flows.command.doctor.examine_leftovers import examine_leftovers
from flows.command.doctor.examine_tournament import clock, keys, keys_online
from tests.weeks import tiny

ROOMY = Resources(cores=8, ram_total_mb=64_000, ram_available_mb=60_000, disk_free_mb=100_000)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """`eraflow doctor` sets what Prefect reads; a test must not leave that behind."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY", "PREFECT_API_URL", "PREFECT_HOME"):
        os.environ.pop(name, None)


@contextmanager
def clock_server(ahead):
    """A server whose clock is `ahead` seconds ahead of ours; None: it sends no date."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response_only(405)
            if ahead is not None:
                told = datetime.now(UTC) + timedelta(seconds=ahead)
                self.send_header("Date", format_datetime(told, usegmt=True))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("ahead", "state"), [(0, "ok"), (30, "ok"), (3600, "failed"), (-3600, "failed")])
def test_the_clock_is_compared_with_the_server_s(ahead, state):
    with clock_server(ahead) as url:
        found = clock(url)
    assert found.state == state
    if state == "failed":
        assert ("behind" if ahead > 0 else "ahead") in found.found
        assert "timedatectl" in found.remedy


def test_a_server_that_tells_no_time_or_is_not_there_is_a_warning():
    with clock_server(None) as url:
        assert clock(url).state == "warning"
    assert clock("http://127.0.0.1:9").state == "warning"
    assert clock("http://127.0.0.1:9").remedy


def test_keys_are_found_in_the_environment_and_never_shown(monkeypatch):
    assert keys("numerai-keys", server=False)[0].state == "warning"
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", "PUB")
    assert "only NUMERAI_PUBLIC_ID" in keys("numerai-keys", server=False)[0].found
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "S3CRET")
    check, pair = keys("numerai-keys", server=False)
    assert (check.state, pair) == ("ok", ("PUB", "S3CRET"))
    assert "S3CRET" not in check.line()


def test_online_the_api_itself_is_asked(tmp_path):
    settings = tiny(tmp_path).sandbox
    generate(tmp_path / "data", settings, version="v5.3")
    with sandbox(tmp_path / "data", tmp_path / "state") as address:
        good = keys_online(address.url, address.public_id, address.secret_key)
        bad = keys_online(address.url, address.public_id, "WR0NGSECRET")
    assert (good.state, bad.state) == ("ok", "failed")
    assert "eraflow" in good.found
    assert "WR0NGSECRET" not in bad.line()
    assert keys_online("http://127.0.0.1:9", "PUB", "S3CRET").state == "failed"


def test_pins_of_this_installation_are_fit():
    assert {check.state for check in examine_machine.pins()} == {"ok"}


@pytest.mark.parametrize(
    ("package", "found", "told"),
    [("sqlalchemy", "2.1.9", "never fire"), ("fastapi", "0.165.0", "not start"), ("requests", "1.0", "make install")],
)
def test_a_wrong_version_is_named_with_what_it_would_do(package, found, told, monkeypatch):
    real = examine_machine.version
    monkeypatch.setattr(examine_machine, "version", lambda name: found if name == package else real(name))
    checks = {check.name: check for check in examine_machine.pins()}
    assert checks[f"pin {package}"].state == "failed"
    assert found in checks[f"pin {package}"].found
    assert told in checks[f"pin {package}"].remedy
    assert checks["requirements"].state == "failed"


def test_versions_other_than_the_tested_ones_are_a_warning(tmp_path):
    assert examine_machine.tested_versions(tmp_path / "none").state == "ok"
    (tmp_path / "constraints.txt").write_text("# a comment\nprefect==3.8.8\nnumpy==1.0.0\nnot-installed==1\n")
    found = examine_machine.tested_versions(tmp_path / "constraints.txt")
    assert found.state == "warning"
    assert "numpy" in found.found
    assert "prefect" not in found.found


def test_memory_and_disk_against_what_a_profile_needs():
    tight = Resources(cores=2, ram_total_mb=8_000, ram_available_mb=6_000, disk_free_mb=1_000)
    none = Resources(cores=2, ram_total_mb=8_000, ram_available_mb=100, disk_free_mb=1_000)
    assert [examine_machine.memory(one, "laptop").state for one in (ROOMY, tight, none)] == ["ok", "warning", "failed"]
    assert [examine_machine.disk(one).state for one in (ROOMY, tight)] == ["ok", "warning"]


def fake_command(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("torch", "state", "told"),
    [("12.6 True", "ok", "H100"), ("None False", "warning", "has no CUDA"), ("12.6 False", "warning", "CUDA 12.6")],
)
def test_a_gpu_that_torch_cannot_use_is_named(torch, state, told, tmp_path, monkeypatch):
    monkeypatch.setattr(examine_machine, "version", lambda _: "2.13.0")
    monkeypatch.setattr(sys, "executable", str(fake_command(tmp_path, "python", f"echo {torch}")))
    shown = Resources(8, 64_000, 60_000, 100_000, gpus=(Gpu("H100", 80_000, 79_000),))
    found = examine_machine.gpu(shown)
    assert found.state == state
    assert told in found.found


@pytest.mark.parametrize(
    ("running", "state"),
    [((3, 10, 9), "failed"), ((3, 11, 0), "ok"), ((3, 14, 2), "ok"), ((3, 15, 0), "warning"), ((4, 0, 0), "warning")],
)
def test_every_python_that_is_supported_is_fine_and_a_newer_one_a_warning(running, state, monkeypatch):
    monkeypatch.setattr(sys, "version_info", running)
    assert examine_machine.python_version().state == state


def test_the_pythons_are_those_of_the_project():
    project = tomllib.loads((examine_machine.ROOT / "pyproject.toml").read_text())["project"]
    told = [text.rpartition(" ")[2] for text in project["classifiers"] if "Python :: 3." in text]
    least, newest = (".".join(map(str, one)) for one in (examine_machine.LEAST_PYTHON, examine_machine.NEWEST_PYTHON))
    assert (told[0], told[-1]) == (least, newest)
    assert project["requires-python"] == f">={least}"


def test_a_driver_without_a_gpu_is_a_warning_and_no_driver_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examine_machine.gpu(ROOMY).state == "ok"
    fake_command(tmp_path, "nvidia-smi", "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    found = examine_machine.gpu(ROOMY)
    assert found.state == "warning"
    assert "version mismatch" in found.found


def begun(home, name, flow="weekly", outcome=None):
    run_dir = home / "runs" / name
    run_dir.mkdir(parents=True)
    (run_dir / "run.json").write_text(json.dumps({"flow": flow, "flow_runs": [], "started": time.time()}))
    (run_dir / "settings.json").write_text("{}")
    if outcome:
        (run_dir / "record.json").write_text(json.dumps({"outcome": outcome}))
    return run_dir


def test_leftovers_are_told_with_the_command_that_goes_on(tmp_path):
    assert [check.state for check in examine_leftovers(tmp_path)] == ["ok"]
    begun(tmp_path, "a-weekly", outcome="submitted")
    assert [check.state for check in examine_leftovers(tmp_path)] == ["ok"]
    cut_off = begun(tmp_path, "b-daily", flow="daily")
    (found,) = examine_leftovers(tmp_path)
    assert found.state == "warning"
    assert f"eraflow daily --resume --home {tmp_path} --run-dir {cut_off}" in found.remedy
    with locked(cut_off):
        assert [(check.name, check.state) for check in examine_leftovers(tmp_path)] == [
            ("at work", "ok"),
            ("unfinished runs", "ok"),
        ]


def test_no_server_is_fine_and_one_that_does_not_answer_is_not(monkeypatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: None}):
        (found,), answers = examine_prefect.examine_prefect(None)
        assert (found.state, answers) == ("ok", False)
        assert [check.state for check in examine_prefect.examine_prefect("slack/x")[0]] == ["ok", "failed"]
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        (found,), answers = examine_prefect.examine_prefect(None)
        assert (found.state, answers) == ("failed", False)
        assert "eraflow server" in found.remedy


def test_a_server_that_refuses_a_question_is_told_and_not_raised(monkeypatch):
    def refusing(url, alert):
        yield Finding("prefect", "ok", "answers")
        raise httpx.ReadTimeout("slow")

    monkeypatch.setattr(examine_prefect, "_with_server", refusing)
    found = list(examine_prefect._told_as_far_as_it_goes("http://x/api", None))
    assert [check.state for check in found] == ["ok", "failed"]
    assert "ReadTimeout" in found[1].found


def test_a_server_of_another_version_is_a_warning():
    client = SimpleNamespace(api_version=lambda: "3.7.0", client_version=lambda: "3.8.8")
    found = examine_prefect.server_version("http://x/api", client)
    assert found.state == "warning"
    assert "3.7.0" in found.found


def deployment(**changes):
    values = {"id": "0" * 32, "name": "weekly", "paused": False, "schedules": [SimpleNamespace(active=True)]}
    return SimpleNamespace(**{**values, "job_variables": {}, "parameters": {}, **changes})


def test_a_schedule_that_is_off_or_makes_no_runs_is_named():
    silent = SimpleNamespace(read_flow_runs=lambda **_: [])
    assert examine_prefect.schedule(silent, deployment()).state == "failed"
    assert "sqlalchemy" in examine_prefect.schedule(silent, deployment()).remedy
    assert "switched off" in examine_prefect.schedule(silent, deployment(paused=True)).found
    coming = SimpleNamespace(auto_scheduled=True, expected_start_time=datetime(2026, 11, 28, 12, tzinfo=UTC))
    makes = SimpleNamespace(read_flow_runs=lambda **_: [coming])
    assert "Saturday 2026-11-28 12:00" in examine_prefect.schedule(makes, deployment()).found


def test_a_deployment_that_beats_too_seldom_for_the_automation_is_named():
    from tasks.recovery.heartbeats import heartbeat_automation

    client = SimpleNamespace(read_automations_by_name=lambda _: [heartbeat_automation()])
    beats = deployment(job_variables={"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}})
    assert examine_prefect.heartbeats(client, [beats]).state == "ok"
    found = examine_prefect.heartbeats(client, [beats, deployment(name="second")])
    assert found.state == "failed"
    assert "second" in found.found
    none = SimpleNamespace(read_automations_by_name=lambda _: [])
    assert "resume --install" in examine_prefect.heartbeats(none, [beats]).remedy


def test_without_network_and_server_it_takes_seconds_and_every_trouble_has_a_remedy(capsys, tmp_path):
    began = time.monotonic()
    code = main(["doctor", "--home", str(tmp_path), "--api", "http://127.0.0.1:9", "--json"])
    assert time.monotonic() - began < 10
    checks = [Finding(**values) for values in json.loads(capsys.readouterr().out)["checks"]]
    assert code == 0
    assert {"python", "pin prefect", "disk", "gpu", "prefect", "numerai keys", "clock"} <= {one.name for one in checks}
    assert all(bool(one.remedy) == (one.state != "ok") for one in checks)


def test_the_text_names_what_to_do_on_a_line_of_its_own(capsys, tmp_path):
    main(["doctor", "--home", str(tmp_path), "--api", "http://127.0.0.1:9"])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.strip().startswith("->") for line in lines) == sum(line.startswith("warning") for line in lines)


def test_a_foreign_home_is_told_and_nothing_in_it_is_touched(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / ".doctor").write_text("mine")
    before = (tmp_path / "thesis").stat().st_mtime_ns
    found = examine_machine.home_finding(tmp_path / "thesis")
    assert (found.state, "no home folder of Eraflow" in found.found) == ("failed", True)
    assert (tmp_path / "thesis" / ".doctor").read_text() == "mine"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text('{"outcome": "submitted"}')
    assert examine_machine.home_finding(tmp_path / "run" / "home").state == "failed"
    assert not (tmp_path / "run" / "home").exists()
    assert (tmp_path / "thesis").stat().st_mtime_ns == before
    assert examine_machine.home_finding(tmp_path / "new").state == "ok"
    (tmp_path / "file").write_text("")
    assert examine_machine.home_finding(tmp_path / "file").state == "failed"
