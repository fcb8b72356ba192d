"""`eraflow sandbox serve --fault NAME=COUNT`: a server that does wrong from the start."""

import re
import subprocess
import sys

import pytest
import requests

from flows.command.cli import main

SMALL = ("train_eras=20", "validation_eras=10", "rows_per_era=20", "features=12")
QUERY = {"query": "{ listDatasets }"}


@pytest.mark.parametrize("given", ["no_such_fault=1", "server_500", "server_500=often"])
def test_a_fault_that_there_is_not_is_wrong_usage(given, capsys):
    assert main(["sandbox", "serve", "--fault", given]) == 2
    assert "server_500, api_hang" in capsys.readouterr().err


def test_faults_are_armed_from_the_start(tmp_path):
    command = [sys.executable, "-m", "flows.command.entry", "sandbox", "serve", "--port", "0", "--home", str(tmp_path)]
    command += [part for size in SMALL for part in ("--set", f"sandbox.{size}")]
    command += ["--fault", "server_500=1", "--fault", "clock_offset=-3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            url = re.search(r"http://[0-9.]+:[0-9]+", server.stdout.readline())[0]
            answers = [requests.post(url, json=QUERY, timeout=20).status_code for _ in range(2)]
            armed = requests.get(f"{url}/sandbox/status", timeout=20).json()["faults"]
        finally:
            server.terminate()
    assert answers == [500, 200]
    assert (armed["server_500"], armed["clock_offset"]) == (0, -3600)
