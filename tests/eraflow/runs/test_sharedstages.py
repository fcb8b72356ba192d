"""One copy of a stage for all runs that need it, whatever happens to a run, to the cache, or to whoever makes it."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from eraflow.runs import sharedstages, stage
from eraflow.runs.sharedstages import SharedStages

SIGNATURE = "ab" * 32
CONTENT = {"store/matrix.npy": b"codes" * 1000, "store/layout.json": b"{}", "notes.txt": b"hello"}


def make(folder, signature=SIGNATURE):
    stage.begin(folder, signature)
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "stage.log").write_text("the log of this run")
    return stage.finish(
        folder, "features", signature, metrics={"rows": 3}, seconds=1, peak_mb=5, attempts=1, provenance={}
    )


def is_whole(folder):
    record = stage.finished(folder, SIGNATURE)
    return record is not None and all((folder / name).read_bytes() == content for name, content in CONTENT.items())


@pytest.fixture
def shared(tmp_path):
    return SharedStages(tmp_path / "cache")


def share(shared, record_or_none, folder):
    """What a run does: take what there is, make it otherwise, keep it."""
    with shared.held(SIGNATURE, print):
        taken = shared.take(SIGNATURE, folder)
        record = stage.finished(folder, SIGNATURE) or make(folder)
        return taken, shared.keep(record)


def test_the_second_run_takes_the_very_files_of_the_first(shared, tmp_path):
    assert share(shared, None, tmp_path / "one") == (False, True)
    assert share(shared, None, tmp_path / "two") == (True, True)
    for name in CONTENT:
        assert (tmp_path / "one" / name).samefile(tmp_path / "two" / name)
        assert (tmp_path / "one" / name).stat().st_nlink == 3
    assert is_whole(tmp_path / "two")
    assert stage.require(tmp_path / "two").path == tmp_path / "two"
    assert not (tmp_path / "two" / "stage.log").exists()  # its own story, not the other's


@pytest.mark.parametrize("gone", ["one", "cache", "two"])
def test_what_is_removed_takes_nothing_from_the_others(shared, tmp_path, gone):
    for name in ("one", "two"):
        share(shared, None, tmp_path / name)
    shutil.rmtree(tmp_path / gone)
    left = {"one", "two"} - {gone}
    assert all(is_whole(tmp_path / name) for name in left)
    share(shared, None, tmp_path / "three")
    assert is_whole(tmp_path / "three")


def test_a_run_that_makes_the_stage_anew_changes_nothing_for_the_others(shared, tmp_path):
    for name in ("one", "two"):
        share(shared, None, tmp_path / name)
    make(tmp_path / "one", "cd" * 32)  # other settings: the folder is emptied first
    assert is_whole(tmp_path / "two")


@pytest.mark.parametrize("spoilt", ["matrix", "manifest", "missing"])
def test_a_damaged_entry_is_not_taken_and_is_replaced(shared, tmp_path, spoilt):
    share(shared, None, tmp_path / "one")
    shutil.rmtree(tmp_path / "one")
    entry = shared.entry(SIGNATURE)
    if spoilt == "matrix":
        (entry / "store" / "matrix.npy").write_bytes(b"other" * 1000)
    elif spoilt == "manifest":
        (entry / stage.MANIFEST).write_text("{")
    else:
        (entry / "notes.txt").unlink()
    assert share(shared, None, tmp_path / "two") == (False, True)
    assert share(shared, None, tmp_path / "three") == (True, True)
    assert is_whole(tmp_path / "three")


def test_a_folder_that_was_begun_and_killed_is_completed(shared, tmp_path):
    share(shared, None, tmp_path / "one")
    stage.begin(tmp_path / "two", SIGNATURE)
    (tmp_path / "two" / "store").mkdir()
    (tmp_path / "two" / "store" / "matrix.npy").write_bytes(b"half")
    (tmp_path / "two" / "store" / ".matrix.npy.12345678.tmp").write_bytes(b"half")
    share(shared, None, tmp_path / "two")
    assert is_whole(tmp_path / "two")
    assert list((tmp_path / "two").rglob(".*.tmp")) == []


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EPERM])
def test_where_nothing_can_be_linked_each_run_has_its_own(shared, tmp_path, monkeypatch, refusal):
    def refuse(source, target):
        raise OSError(refusal, os.strerror(refusal))

    share(shared, None, tmp_path / "one")
    monkeypatch.setattr(sharedstages.os, "link", refuse)
    assert share(shared, None, tmp_path / "two") == (False, False)
    assert is_whole(tmp_path / "two")
    assert list(shared.folder.glob(".*")) == []


def test_a_full_disk_costs_the_run_nothing(shared, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sharedstages.os, "link", full)
    assert share(shared, None, tmp_path / "one") == (False, False)
    assert is_whole(tmp_path / "one")


KEEPER = """
import os, signal, sys
from pathlib import Path
from eraflow.runs import sharedstages
from eraflow.runs import stage
count = 0
link = os.link
def killed_at_the_second(*args):
    global count
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    link(*args)
sharedstages.os.link = killed_at_the_second
shared = sharedstages.SharedStages(Path(sys.argv[1]))
with shared.held(sys.argv[3], print):
    VERB
"""


@pytest.mark.parametrize(
    "verb", ["shared.keep(stage.require(Path(sys.argv[2])))", "shared.take(sys.argv[3], Path(sys.argv[2]))"]
)
def test_whoever_is_killed_leaves_nothing_broken_and_no_lock(shared, tmp_path, verb):
    make(tmp_path / "one")
    if "take" in verb:
        share(shared, None, tmp_path / "one")
    place = tmp_path / ("two" if "take" in verb else "one")
    program = KEEPER.replace("VERB", verb)
    ended = subprocess.run([sys.executable, "-c", program, str(shared.folder), str(place), SIGNATURE], check=False)
    assert ended.returncode == -signal.SIGKILL
    share(shared, None, tmp_path / "one")
    assert share(shared, None, tmp_path / "two") == (True, True)
    assert is_whole(tmp_path / "two")
    assert sorted(path.name for path in shared.folder.iterdir()) == [SIGNATURE, f"{SIGNATURE}.lock"]


def test_two_at_once_make_it_once_and_nothing_held_is_removed(shared, tmp_path):
    told, order = [], []

    def second():
        with shared.held(SIGNATURE, told.append):
            order.append(shared.take(SIGNATURE, tmp_path / "two"))

    with shared.held(SIGNATURE, told.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            time.sleep(0.01)
        assert not shared.remove_if_free(SIGNATURE)
        shared.keep(make(tmp_path / "one"))
    thread.join()
    assert order == [True]
    assert is_whole(tmp_path / "two")
    assert shared.remove_if_free(SIGNATURE)
    assert not shared.entry(SIGNATURE).exists()
    assert is_whole(tmp_path / "two")
