"""Doctor tells of a second history, of a server that is not this home's, of open rights and of proxies."""

import sqlite3
from contextlib import closing

import pytest

from eraflow.machine.loopback import go_direct
from flows.command.doctor import examine_history as examined
from flows.command.doctor.examine_history import examine_history, examine_proxies, examine_rights
from flows.command.prefectserver.runningserver import noted_server, running_server


def history(folder, deployments=(), flows=()):
    """A Prefect database with what the checks look at."""
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "prefect.db")) as database:
        database.execute("create table deployment (tags text, entrypoint text)")
        database.execute("create table flow (id integer primary key, name text)")
        database.execute("create table flow_run (flow_id integer)")
        database.executemany("insert into deployment values (?, ?)", deployments)
        for number, name in enumerate(flows):
            database.execute("insert into flow values (?, ?)", (number, name))
            database.execute("insert into flow_run values (?)", (number,))
        database.commit()
    return folder


@pytest.fixture
def user(tmp_path, monkeypatch):
    for name in ("ERAFLOW_HOME", "PREFECT_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(examined, "checkout_around", lambda _: None)  # what lies beside the tested code is another's
    return folder


OURS = [('["eraflow"]', "flows/weekly.py:weekly")]


def seconds(user, before=None):
    home = user / "home"
    return [check for check in examine_history(home, before or {}) if check.name == "second history"]


@pytest.mark.parametrize(
    ("place", "deployments", "flows"),
    [
        (".prefect", OURS, []),
        (".prefect", [("[]", "flows/daily.py:daily")], []),
        (".eraflow/prefect", [], ["weekly", "weekly"]),
        (".local/share/eraflow/prefect", [], ["research"]),
    ],
)
def test_a_second_history_is_told_wherever_it_usually_lies(user, place, deployments, flows):
    history(user / "home" / "prefect", OURS, ["weekly"])
    folder = history(user / place, deployments, flows)
    (told,) = seconds(user)
    assert told.state == "warning"
    assert str(folder) in told.found
    assert f"{len(deployments)} deployments and {len(flows)} runs" in told.found
    assert "eraflow server" in told.remedy


def test_other_peoples_plans_and_damaged_files_are_no_second_history(user):
    history(user / ".prefect", [('["theirs"]', "etl.py:etl")], ["etl"])
    broken = user / ".eraflow" / "prefect"
    broken.mkdir(parents=True)
    (broken / "prefect.db").write_bytes(b"no database")
    assert seconds(user) == []


def test_a_server_of_this_home_and_another_one_named_is_told(user):
    home = user / "home"
    named = {"PREFECT_API_URL": "http://127.0.0.1:4200/api"}
    with noted_server(home / "prefect", "http://127.0.0.1:4377"):
        assert next(examine_history(home, {})).found.endswith("served at http://127.0.0.1:4377")
        assert next(examine_history(home, named)).state == "warning"
        assert next(examine_history(home, {"PREFECT_API_URL": "http://127.0.0.1:4377/api"})).state == "ok"
    assert next(examine_history(home, named)).state == "ok"


def test_a_note_without_its_server_is_nobody_s(tmp_path):
    with noted_server(tmp_path, "http://127.0.0.1:4377"):
        assert running_server(tmp_path) == "http://127.0.0.1:4377"
        text = (tmp_path / "eraflow-server.json").read_text()
        with pytest.raises(BlockingIOError), noted_server(tmp_path, "http://127.0.0.1:1"):
            pass
    (tmp_path / "eraflow-server.json").write_text(text)
    assert running_server(tmp_path) is None


def test_proxies_are_told_without_passwords(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert [check.found for check in examine_proxies([])] == ["none is named"]
    environment = {"ALL_PROXY": "gopher://host:1", "https_proxy": "http://user:geheim@proxy.example:3128"}
    put_aside = go_direct(environment)
    monkeypatch.setenv("https_proxy", environment["https_proxy"])
    warned, used = examine_proxies(put_aside)
    assert (warned.state, used.state) == ("warning", "ok")
    assert "ALL_PROXY" in warned.remedy
    assert "http://proxy.example:3128" in used.found
    assert "geheim" not in str([warned, used])


@pytest.mark.parametrize(("mode", "state"), [(0o700, "ok"), (0o755, "warning"), (0o710, "warning")])
def test_a_home_that_others_may_look_into_is_told(tmp_path, mode, state):
    home = tmp_path / "my home"
    home.mkdir()
    home.chmod(mode)
    check = examine_rights(home)
    assert check.state == state
    assert check.remedy in ("", f"chmod -R go-rwx '{home}'")
