"""The installation: what it says before and after, what it leaves alone, and that a wheel holds the whole product."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest

from tests.pins import PIP, ROOT

spec = importlib.util.spec_from_file_location("install", ROOT / "deployments" / "install.py")
install = importlib.util.module_from_spec(spec)
spec.loader.exec_module(install)


@pytest.fixture
def asked(monkeypatch):
    """What pip was asked for; nothing is installed."""
    calls = []

    def made(venv):
        venv.mkdir(exist_ok=True)
        return venv / "bin" / "python"

    monkeypatch.setattr(install, "_made", made)
    monkeypatch.setattr(install, "_pip", lambda python, *options: calls.append(options))
    return calls


def target_of(call):
    return call[-1]


@pytest.mark.parametrize(
    ("extras", "target", "told"),
    [
        ({"networks"}, ".[networks]", "the networks (torch)"),
        (set(), ".", "torch is left out"),
        ({"networks", "dev"}, ".[dev,networks]", "the test tools"),
    ],
)
def test_it_says_what_it_does_how_large_and_how_long_and_what_it_took(tmp_path, asked, capsys, extras, target, told):
    assert install.install(tmp_path / "venv", extras, "") == 0
    lines = capsys.readouterr().out.splitlines()
    said = " ".join(lines)
    assert target_of(asked[-1]) == target
    assert "--quiet" not in asked[-1]  # pip shows its bar
    for part in (told, "GB on disk", "GB to fetch", "minutes", "Installed in", "make run"):
        assert part in said
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80


def test_what_is_complete_is_left_alone_and_more_is_added_to_what_there_is(tmp_path, asked, capsys):
    venv = tmp_path / "venv"
    install.install(venv, set(), "")
    done = len(asked)
    install.install(venv, set(), "")
    install.install(venv, {"networks"}, "", ready=True)  # make run: torch was left out on purpose
    assert len(asked) == done
    assert "complete already" in capsys.readouterr().out
    install.install(venv, {"networks", "dev"}, "")  # make test
    assert target_of(asked[-1]) == ".[dev,networks]"
    install.install(venv, {"networks"}, "", ready=True)
    install.install(venv, {"networks"}, "")  # has more than that
    assert len(asked) == done + 2
    stamp = json.loads((venv / install.STAMP).read_text())
    (venv / install.STAMP).write_text(json.dumps({**stamp, "made_from": "older pins"}))
    install.install(venv, set(), "", ready=True)
    assert target_of(asked[-1]) == ".[dev,networks]"  # new pins for all that was there


def test_a_half_made_environment_is_completed(tmp_path, asked):
    venv = tmp_path / "venv"
    install.install(venv, set(), "")
    (venv / install.STAMP).write_text("")  # what an older Makefile left, or a full disk
    install.install(venv, set(), "", ready=True)
    assert len(asked) == 4


def test_a_wheelhouse_is_the_only_source(tmp_path, asked):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with pytest.raises(install.InstallError, match="make wheelhouse"):
        install.install(tmp_path / "venv", set(), str(wheels))
    (wheels / "eraflow-0.1.0-py3-none-any.whl").touch()
    install.install(tmp_path / "venv", set(), str(wheels))
    for call in asked:
        assert call[call.index("--find-links") + 1] == str(wheels)
        assert "--no-index" in call


def test_too_little_space_and_an_old_python_are_named_before_anything_is_made(tmp_path, asked, monkeypatch):
    monkeypatch.setattr(install.shutil, "disk_usage", lambda place: Namespace(free=1_000_000))
    with pytest.raises(install.InstallError, match="EXTRAS="):
        install.install(tmp_path / "venv", {"networks"}, "")
    monkeypatch.setattr(install.sys, "version_info", (3, 9, 2))
    with pytest.raises(install.InstallError, match=r"3\.11 or newer.*PYTHON="):
        install._require_python()
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_pip_failing_is_one_sentence_and_an_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install, "_made", lambda venv: Path("/bin/false"))
    monkeypatch.setattr(sys, "argv", ["install.py", "--venv", str(tmp_path / "venv"), "--extras", ""])
    assert install.main() == 1
    assert capsys.readouterr().err.startswith("install: pip could not do it")


def test_a_wheel_holds_every_module_and_nothing_of_the_tests(tmp_path):
    options = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*PIP, *options, str(ROOT)], check=True, cwd=tmp_path, capture_output=True)
    (wheel,) = tmp_path.glob("eraflow-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.endswith(".py")}
    packages = ("eraflow", "models", "tasks", "flows")
    known = {path.relative_to(ROOT).as_posix() for package in packages for path in (ROOT / package).rglob("*.py")}
    assert held == known
