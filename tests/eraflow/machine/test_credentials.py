"""Keys stay with those who need them: no stage and no server inherits one."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from eraflow.machine.credentials import TRACKING, is_credential, without_credentials
from eraflow.machine.isolate import run_isolated
from eraflow.sandbox.process import sandbox
from tests.tournament_files import write_tournament

SECRETS = [
    "NUMERAI_PUBLIC_ID",
    "NUMERAI_SECRET_KEY",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_TOKEN",
    "ERAFLOW_SEARCH_PASSWORD",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "GITHUB_TOKEN",
    "PGPASSWORD",
    "MYSQL_PWD",
    "openai_api_key",
    "SSHPASS",
    "SMTP_PASS",
    "GPG_PASSPHRASE",
    "GITHUB_PAT",
    "SLACK_WEBHOOK_URL",
    "SENTRY_DSN",
]
ADDRESSES = [
    ("DATABASE_URL", "postgresql://user:geheim@db.example/optuna"),
    ("https_proxy", "http://user:geheim@proxy.example:3128"),
    ("PIP_INDEX_URL", "https://geheim@index.example/simple"),
    ("REDIS_URL", "rediss://:geheim@cache.example:6380/0"),
]
HARMLESS = [
    "PATH",
    "HOME",
    "PWD",
    "TOKENIZERS_PARALLELISM",
    "PREFECT_HOME",
    "OMP_NUM_THREADS",
    "NO_PROXY",
    "PATH_INFO",
    "COMPASS",
]
PLAIN_ADDRESSES = [
    "http://proxy.example:3128",
    "sqlite:////home/me/a@b.db",
    "me@example.org",
    "https://x.example/?to=a@b",
]


@pytest.mark.parametrize("name", SECRETS)
def test_what_is_a_credential(name):
    assert is_credential(name)
    assert without_credentials({name: "geheim"}) == {}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_none(name):
    assert without_credentials({name: "1"}) == {name: "1"}


@pytest.mark.parametrize(("name", "value"), ADDRESSES)
def test_an_address_with_a_password_is_one_whatever_its_name(name, value):
    assert without_credentials({name: value}) == {}


@pytest.mark.parametrize("value", PLAIN_ADDRESSES)
def test_an_address_without_one_stays(value):
    assert without_credentials({"ADDRESS": value}) == {"ADDRESS": value}


def test_a_server_keeps_what_it_needs():
    kept = without_credentials(dict.fromkeys(SECRETS, "geheim"), TRACKING)
    assert "AWS_SECRET_ACCESS_KEY" in kept
    assert not any(name.startswith("NUMERAI_") for name in kept)


@pytest.fixture
def secrets(monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, f"geheim-{name}")
    return SECRETS


def test_a_stage_inherits_none_and_gets_the_one_it_is_given(tmp_path, secrets):
    outcome = run_isolated(
        "tests.eraflow.machine.stages:environment",
        {"names": secrets},
        memory_mb=None,
        timeout_s=60,
        log=print,
        folder=tmp_path,
        env={"PGPASSWORD": "given"},
    )
    found = outcome.value["env"]
    assert found.pop("PGPASSWORD") == "given"
    assert set(found.values()) == {None}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"geheim" in path.read_bytes()]


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="environments of other processes are seen in /proc only")
def test_the_sandbox_inherits_none(tmp_path, secrets, monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    write_tournament(tmp_path / "data")
    with sandbox(tmp_path / "data", tmp_path / "state"):
        seen = Path(f"/proc/{started[0].pid}/environ").read_bytes()
    assert b"geheim" not in seen
    assert json.dumps("PATH=").strip('"').encode() in seen
