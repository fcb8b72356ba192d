"""`eraflow server`: one server for a home, found by all, told to a shell, ended whole."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from eraflow.disk.home import make_home
from flows.command.cli import main
from flows.command.prefectserver.environment import page_of, prepare
from flows.command.prefectserver.runningserver import noted_server, running_server
from tests.flows.command.prefectserver.test_runserver import SMALL_SERVER

ROOT = Path(__file__).parents[4]
SERVE = """
import sys
from flows.command.prefectserver import runserver
runserver.COMMAND = [sys.executable, "-c", sys.argv.pop(1)]
from flows.command.entry import main
sys.exit(main())
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def clean(monkeypatch, tmp_path):
    for name in ("PREFECT_HOME", "PREFECT_API_URL", "ERAFLOW_HOME"):
        monkeypatch.setenv(name, "")  # whatever is set meanwhile is taken back
        monkeypatch.delenv(name)
    umask = os.umask(0o022)
    yield monkeypatch
    os.umask(umask)


def exported(text):
    return dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines() if line.startswith("export "))


def test_a_shell_is_told_the_history_of_this_home_and_to_ask_no_proxy(clean, tmp_path, capsys):
    home = tmp_path / "my home's"
    clean.setenv("ALL_PROXY", "gopher://x")
    clean.setenv("NO_PROXY", "intern.example")
    clean.setenv("no_proxy", "")
    assert main(["server", "--home", str(home), "--print-env", "--port", "4399"]) == 0
    told = capsys.readouterr().out
    values = {name: shlex.split(value)[0] for name, value in exported(told).items()}
    assert "unset ALL_PROXY" in told.splitlines()
    assert values["PREFECT_HOME"] == str(home / "prefect")
    assert values["ERAFLOW_HOME"] == str(home)
    assert values["PREFECT_API_URL"] == "http://127.0.0.1:4399/api"
    assert values["NO_PROXY"] == values["no_proxy"] == "intern.example,127.0.0.1,localhost,::1"
    assert not home.exists()


def test_the_server_of_a_home_is_found_by_everything_that_works_there(clean, tmp_path, capsys):
    make_home(tmp_path)
    with noted_server(tmp_path / "prefect", "http://127.0.0.1:4377"):
        assert main(["server", "--home", str(tmp_path), "--print-env"]) == 0
        assert exported(capsys.readouterr().out)["PREFECT_API_URL"] == "http://127.0.0.1:4377/api"
        assert main(["ui", "--home", str(tmp_path)]) == 0
        assert "http://127.0.0.1:4377" in capsys.readouterr().out
        assert main(["server", "--home", str(tmp_path)]) == 1
        assert "server_running" in capsys.readouterr().err
        assert "127.0.0.1:4377" in prepare(tmp_path)
        assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4377/api"


@pytest.mark.parametrize("named", ["http://127.0.0.1:4377/api", "https://box/prefect/api/", None])
def test_a_run_points_to_the_pages_of_its_server_and_not_to_its_api(clean, tmp_path, named):
    make_home(tmp_path)
    if named:
        clean.setenv("PREFECT_API_URL", named)
        assert page_of(prepare(tmp_path)) == named.rstrip("/").removesuffix("/api")
        return
    with noted_server(tmp_path / "prefect", "http://127.0.0.1:4378"):
        assert page_of(prepare(tmp_path)) == "http://127.0.0.1:4378"
    assert page_of("") == ""
    clean.delenv("PREFECT_API_URL")
    assert page_of("the server of your Prefect profile") == "the server of your Prefect profile"


def test_a_port_that_is_taken_is_a_named_error(clean, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["server", "--home", str(tmp_path), "--port", str(other.getsockname()[1])]) == 1
    assert "port_taken" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "-1", "4200.5", "²"])
def test_what_is_no_port_is_wrong_usage(port, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["server", "--port", port])
    assert ended.value.code == 2
    assert "no port" in capsys.readouterr().err


def test_it_serves_survives_a_death_and_ends_whole(clean, tmp_path):
    port = free_port()
    command = [sys.executable, "-c", SERVE, SMALL_SERVER, "server", "--home", str(tmp_path), "--port", str(port)]
    verb = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert f"http://127.0.0.1:{port}" in verb.stdout.readline()
        url = running_server(tmp_path / "prefect")
        first = httpx.get(url, trust_env=False, timeout=30).json()["process"]
        os.kill(first, signal.SIGKILL)
        second = httpx.get(url, trust_env=False, timeout=30).json()["process"]
        verb.send_signal(signal.SIGTERM)
        assert verb.wait(30) == 0
    finally:
        verb.kill()
        verb.communicate()
    assert second != first
    deadline = time.monotonic() + 10
    while Path(f"/proc/{second}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{second}").exists()
    assert running_server(tmp_path / "prefect") is None
