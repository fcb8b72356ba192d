"""One home for a user, a home of its own for a checkout, and a named error where there is none."""

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from eraflow.disk.home import HomeError, default_home, home_folder, home_option, make_home
from eraflow.errors import EraflowError
from eraflow.settings.run import RunSettings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user with a folder who stands somewhere else and has named nothing."""
    for name in ("ERAFLOW_HOME", "XDG_DATA_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def no_registered_folder(monkeypatch):
    def unknown(_):
        raise KeyError("no such user")

    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_one_place_for_a_user_wherever_one_stands(user, monkeypatch):
    found = default_home()
    monkeypatch.chdir("/")
    assert default_home() == found
    assert found.startswith(str(user))


@pytest.mark.parametrize("inside", ["", "tests", "eraflow/disk"])
def test_a_checkout_keeps_its_own(user, monkeypatch, inside):
    monkeypatch.chdir(ROOT / inside)
    assert default_home() == str(ROOT / ".eraflow")


def test_a_project_that_is_not_eraflow_is_no_checkout(user, tmp_path):
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "weekly.py").write_text("")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\n')
    assert default_home().startswith(str(user))
    (tmp_path / "pyproject.toml").write_bytes(b"\xff not toml [")
    assert default_home().startswith(str(user))


def test_what_is_named_wins(user, monkeypatch, tmp_path):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/eraflow:/var/lib/other")
    assert default_home() == "/var/lib/eraflow"
    monkeypatch.chdir(ROOT)
    assert default_home() == str(ROOT / ".eraflow")
    monkeypatch.setenv("ERAFLOW_HOME", str(tmp_path / "named"))
    assert default_home() == str(tmp_path / "named")
    assert RunSettings().home_path == tmp_path / "named"
    assert RunSettings(home=str(tmp_path / "given")).home_path == tmp_path / "given"


@pytest.mark.parametrize("told", [None, "", "/nonexistent", "relative"])
def test_without_a_users_folder_the_one_of_the_system_is_taken_or_the_error_says_what_to_set(user, monkeypatch, told):
    monkeypatch.delenv("HOME") if told is None else monkeypatch.setenv("HOME", told)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(("u", "x", 1, 1, "", str(user), "")))
    assert default_home().startswith(str(user))
    no_registered_folder(monkeypatch)
    with pytest.raises(HomeError, match="ERAFLOW_HOME"):
        RunSettings().home_path  # noqa: B018 - the property is what is tested
    assert home_option(Path("/somewhere")) == " --home /somewhere"
    monkeypatch.setenv("ERAFLOW_HOME", "/srv/eraflow")
    assert default_home() == "/srv/eraflow"


def test_a_folder_of_an_unknown_user_is_a_named_error():
    with pytest.raises(HomeError):
        home_folder("~nobody-of-this-name/data")


def test_a_new_home_and_all_that_is_written_later_are_for_the_owner_alone(tmp_path):
    before = os.umask(0o022)
    try:
        make_home(tmp_path / "deep" / "home")
        (tmp_path / "deep" / "home" / "file").write_text("")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "deep" / "home").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "deep" / "home" / "file").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "inside", "after"),
    [
        (".eraflow", "prefect/prefect.db", 0o700),
        (".eraflow", "letters", 0o755),
        ("shared", "prefect/prefect.db", 0o755),
    ],
)
def test_an_open_home_is_closed_where_it_is_clearly_ours(tmp_path, name, inside, after):
    (tmp_path / name / inside).parent.mkdir(parents=True)
    (tmp_path / name / inside).write_text("")
    (tmp_path / name).chmod(0o755)
    before = os.umask(0o022)
    make_home(tmp_path / name, among_others=True)
    os.umask(before)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == after


def test_a_file_in_its_place_is_a_named_error(tmp_path):
    (tmp_path / "file").write_text("")
    before = os.umask(0o022)
    try:
        for home in (tmp_path / "file", tmp_path / "file" / "home"):
            with pytest.raises(EraflowError, match="storage"):
                make_home(home)
    finally:
        os.umask(before)


def test_settings_at_home_mean_the_same_wherever_they_are_read(user, monkeypatch, tmp_path):
    stored = RunSettings().at_home()
    monkeypatch.chdir(ROOT)
    read = RunSettings.model_validate_json(stored.model_dump_json())
    assert read.home_path == stored.home_path != RunSettings().home_path


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user who may look nowhere")
@pytest.mark.parametrize(("verb", "needs"), [("doctor", "doctor.examination"), ("ui", "verbs.ui")])
def test_a_folder_that_this_user_may_not_look_into_is_a_named_error(tmp_path, verb, needs):
    code = f"import os; os.setgid(65123); os.setuid(65123); from flows.command.cli import main; exit(main({[verb]!r}))"
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    environment = {
        "HOME": str(closed),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", f"import flows.command.cli, flows.command.{needs}; {code}"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (1, 2), done.stderr
    assert str(closed) in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
