"""The environment of a rehearsal: built once, found again, never half, cleaned like what else can be made again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from eraflow.rehearsal import environment
from eraflow.rehearsal.environment import (
    BUILDING,
    COMPLETE,
    EnvironmentNotBuiltError,
    environment_python,
    rehearsal_folder,
)
from eraflow.rehearsal.pins import pins_for
from eraflow.runs.cleaningplan import carry_out, plan
from eraflow.runs.reclaim import folder_pieces, leftovers

DAY = 86_400


@pytest.fixture
def built(monkeypatch):
    """What is run instead of making an environment: the commands, and whether pip is to fail."""
    told = SimpleNamespace(commands=[], fails=False)

    def run(command, pins):
        told.commands.append(command)
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True)
        elif told.fails:
            raise EnvironmentNotBuiltError("no index", "let pip reach one")

    monkeypatch.setattr(environment, "_run", run)
    monkeypatch.setattr(environment, "find_interpreter", lambda python: Path("/usr/bin/python3"))
    return told


def test_it_is_built_once_and_found_again(built, tmp_path):
    pins, told = pins_for("3.11", tmp_path), []
    first = environment_python(pins, tmp_path, told.append)
    count = len(built.commands)
    assert environment_python(pins, tmp_path, told.append) == first
    assert (len(built.commands), len(told)) == (count, 1)
    requirements = (first.parents[1] / "requirements.txt").read_text()
    assert all(f"{name}=={version}" in requirements for name, version in pins.versions.items())


def test_what_a_failed_or_killed_build_left_is_never_used_and_goes(built, tmp_path):
    pins, folder = pins_for("3.11", tmp_path), rehearsal_folder(tmp_path)
    killed = folder / f"{pins.python}-{pins.digest}.0123abcd{BUILDING}"
    killed.mkdir(parents=True)
    built.fails = True
    with pytest.raises(EnvironmentNotBuiltError):
        environment_python(pins, tmp_path, print)
    assert not list(folder.glob("*/"))
    built.fails = False
    assert environment_python(pins, tmp_path, print).parents[1].joinpath(COMPLETE).is_file()
    assert [path.name for path in folder.glob("*/")] == [f"{pins.python}-{pins.digest}"]


def test_a_cleaning_takes_one_that_was_not_used_for_long(built, tmp_path):
    used, unused = (pins_for(python, tmp_path) for python in ("3.11", "3.12"))
    for pins in (used, unused):
        place = environment_python(pins, tmp_path, print).parents[1]
        for path in [*place.rglob("*"), place]:
            os.utime(path, (time.time() - 30 * DAY,) * 2)
    environment_python(used, tmp_path, print)
    pieces = [*leftovers(tmp_path), *folder_pieces(tmp_path)]
    found = plan(pieces, tmp_path, {}, bulk_days=14, keep_days=60, max_bytes=None, now=time.time())
    done, refused = carry_out(found.going)
    assert (len(done), refused) == (1, {})
    assert [path.name for path in rehearsal_folder(tmp_path).glob("*/")] == [f"{used.python}-{used.digest}"]
