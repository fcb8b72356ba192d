"""Interpreters are asked what they are; one that is not there is named with ways to get it."""

import platform
import stat
import subprocess

import pytest

from eraflow.rehearsal.interpreters import MissingInterpreterError, find_interpreter

OURS = ".".join(platform.python_version_tuple()[:2])


def test_that_of_this_version_is_found_and_is_of_it():
    said = subprocess.run([find_interpreter(OURS), "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"Python {OURS}.")


def test_one_that_is_not_there_is_named_with_ways_to_get_it():
    with pytest.raises(MissingInterpreterError, match=r"no Python 3\.99 .*uv python install 3\.99.*--python"):
        find_interpreter("3.99")


def test_a_file_that_only_bears_the_name_is_passed_over(tmp_path, monkeypatch):
    for name, script in (("python3.98", "exit 1"), ("python3.97", "echo 3.96")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod((tmp_path / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for python in ("3.98", "3.97"):
        with pytest.raises(MissingInterpreterError):
            find_interpreter(python)
