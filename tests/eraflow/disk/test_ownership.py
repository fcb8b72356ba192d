"""Which folders are ours: nothing is touched in one that is not."""

import os

import pytest

from eraflow.disk.atomic import remove_leftovers, write_json
from eraflow.disk.home import make_home
from eraflow.disk.ownership import (
    ForeignFolderError,
    check_home,
    check_home_places,
    check_run_dir,
    is_home_dir,
    mark_home,
)
from eraflow.runs.scratch import sweep
from eraflow.runs.unfinished import note_run
from flows.command.prefectserver.environment import prepare

FOREIGN = {
    "an editor's settings": ["settings.json", ".vscode.tmp"],
    "a program's record": ["record.json"],
    "another program's run": ["run.json"],
    "a hidden file alone": [".notes"],
    "a folder": ["data/mine.csv"],
    "folders called as ours": ["runs/mine.txt", "features/x.bin"],
    "another program's lock": [".lock.old"],
}


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"mine": 1}')


def contents(folder):
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("names", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_of_somebody_elses_is_refused_and_untouched(names, tmp_path):
    fill(tmp_path, names)
    before = contents(tmp_path)
    for refused in (check_run_dir, check_home, prepare, make_home):
        with pytest.raises(ForeignFolderError, match=r"it holds .*; name a new or an empty folder"):
            refused(tmp_path)
    assert contents(tmp_path) == before


def test_a_new_an_empty_and_our_own_folder_are_fine(tmp_path):
    for check in (check_run_dir, check_home):
        check(tmp_path / "new")
        check(tmp_path)
    for name in (".lock", "lost+found", ".run.json.0123abcd.tmp"):
        (tmp_path / name).write_text("")
    check_run_dir(tmp_path)
    note_run(tmp_path / "home", tmp_path / "run", "weekly", None)
    fill(tmp_path / "run", ["anything"])
    check_run_dir(tmp_path / "run")
    make_home(tmp_path / "home")
    fill(tmp_path / "home", ["anything"])
    check_home(tmp_path / "home")
    make_home(tmp_path / "home")


@pytest.mark.parametrize("place", ["prefect/prefect.db", "runs/x/run.json", "runs/0123abcd.elsewhere"])
def test_homes_without_their_mark_are_known(place, tmp_path):
    write_json(tmp_path / place, {"flow": "weekly", "flow_runs": [], "started": 1.0})
    fill(tmp_path, ["notes.txt"])
    check_home(tmp_path)


def test_what_lies_beside_our_places_does_not_matter_to_a_deployment_and_in_them_it_does(tmp_path):
    fill(tmp_path, ["notes.txt"])
    check_home_places(tmp_path)
    fill(tmp_path, ["cache/mine.bin"])
    with pytest.raises(ForeignFolderError, match="cache"):
        check_home_places(tmp_path)
    mark_home(tmp_path)
    check_home_places(tmp_path)
    assert is_home_dir(tmp_path)


def test_only_temporary_files_of_our_making_are_removed(tmp_path):
    for name in (".a.json.0123abcd.tmp", ".b.tmp", ".c.XYZ12345.tmp", "d.0123abcd.tmp", ".e.parquet.00000000.tmp"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".b.tmp", ".c.XYZ12345.tmp", "d.0123abcd.tmp"]


@pytest.mark.parametrize("name", ["eraflow-score-results", "eraflow-score-results1", "eraflow-score-my_notes"])
@pytest.mark.parametrize("names", [["notes.txt"], [".lock", "poetry.txt"]])
def test_a_folder_that_is_only_called_like_a_temporary_one_stays(name, names, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    fill(folder, names)
    os.utime(folder, (0, 0))
    sweep("eraflow-score-", tmp_path)
    assert folder.exists()
