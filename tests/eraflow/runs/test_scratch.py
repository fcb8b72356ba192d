import os
import signal
import subprocess
import sys
import time

import pytest

from eraflow.errors import EraflowError, SettingsError
from eraflow.runs.scratch import LOCK, scratch_folder, sweep

HOLD = """
import sys, time
from pathlib import Path
from eraflow.runs.scratch import scratch_folder
with scratch_folder("mine-", Path(sys.argv[1])) as folder:
    (folder / "big").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_it_ends_with_its_block_also_by_an_error(tmp_path):
    with scratch_folder("mine-", tmp_path) as folder:
        assert folder.parent == tmp_path
    with pytest.raises(ValueError, match="x"), scratch_folder("mine-", tmp_path):
        raise ValueError("x")
    assert list(tmp_path.iterdir()) == []


def fails(parent):
    with scratch_folder("mine-", parent) as folder:
        (folder / "stage.log").write_text("why")
        raise EraflowError("it died", f"read {folder}/stage.log")


def test_what_an_error_tells_of_stays_until_the_next_one(tmp_path):
    with pytest.raises(EraflowError):
        fails(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert (folder / "stage.log").read_text() == "why"
    with scratch_folder("mine-", tmp_path):
        assert not folder.exists()


def test_folders_of_the_dead_are_swept_and_those_of_the_living_and_of_others_are_not(tmp_path):
    other = tmp_path / "other-1"
    other.mkdir()
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    held = owner.stdout.readline().strip()
    with scratch_folder("mine-", tmp_path):
        assert os.path.exists(held)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert os.path.exists(os.path.join(held, "big"))
    assert [str(path) for path in sweep("mine-", tmp_path)] == [held]
    assert list(tmp_path.iterdir()) == [other]


def test_a_folder_that_is_just_being_made_is_not_swept(tmp_path):
    new, old = tmp_path / "mine-new00000", tmp_path / "mine-old00000"
    new.mkdir()
    old.mkdir()
    os.utime(old, (time.time() - 600, time.time() - 600))
    assert sweep("mine-", tmp_path) == [old]
    (new / LOCK).touch()
    assert sweep("mine-", tmp_path) == [new]


def test_a_parent_that_is_not_there_is_a_wrong_setting(tmp_path):
    with pytest.raises(SettingsError, match="no folder"), scratch_folder("mine-", tmp_path / "none"):
        pass
